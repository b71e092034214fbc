/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The nf_tables encoder against the kernel and against `nft`, which must show every rule in the
 * words that an operator would have written. Tables belong to this process and a namespace of its
 * own.
 */
#include "injector/base/clock.h"
#include "injector/kernel/nft.h"
#include "injector/kernel/nft_match.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct netlink *netlink;
static struct nft_batch batch;

static int open_conversation(void **state)
{
	(void)state;
	nft_batch_begin(&batch);
	return netlink_open_netfilter(-1, &netlink, NULL);
}

static int close_conversation(void **state)
{
	(void)state;
	nft_batch_drop(&batch);
	netlink_close(netlink);
	return 0;
}

static void commit(void)
{
	struct error err = ERROR_INIT;

	if (nft_commit(netlink, &batch, &err) < 0)
		fail_msg("%s", err.text);
	nft_batch_begin(&batch);
}

/* What nft shows of a table, without indentation. */
static const char *listing(const char *table)
{
	static char text[65536];
	char command[128], line[4096];
	size_t used = 0;
	FILE *pipe;

	snprintf(command, sizeof(command), "nft list table %s", table);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	text[0] = '\0';
	while (fgets(line, sizeof(line), pipe))
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s",
					 line + strspn(line, "\t "));
	pclose(pipe);
	return text;
}

static void assert_shown(const char *table, const char *const *lines)
{
	const char *text = listing(table);

	for (; *lines; lines++)
		if (!strstr(text, *lines))
			fail_msg("nft does not show '%s' but\n%s", *lines, text);
}

static void begin_netdev(void)
{
	nft_add_table(&batch, NFPROTO_NETDEV, "t", "a comment");
	nft_add_counter(&batch, "hit");
	nft_add_chain(&batch, "act");
	nft_add_hook_chain(&batch, &(struct nft_hook_chain){.name = "out",
							    .hook = NF_NETDEV_EGRESS,
							    .priority = 2147483647,
							    .device = "lo"});
}

static void accept_rule(const char *comment)
{
	nft_verdict(&batch, NF_ACCEPT);
	nft_rule_end(&batch, comment);
}

static void add_address_set(const char *name, const char *const (*ranges)[2])
{
	nft_add_set(&batch,
		    &(struct nft_set){.name = name, .fields = {NFT_TYPE_IPV4}, .has_ranges = true});
	for (; (*ranges)[0]; ranges++) {
		uint8_t first[4], last[4];

		assert_int_equal(inet_pton(AF_INET, (*ranges)[0], first), 1);
		assert_int_equal(inet_pton(AF_INET, (*ranges)[1], last), 1);
		nft_set_add(&batch, first, last);
	}
	nft_set_end(&batch);
}

static void test_conditions_read_as_an_operator_writes_them(void **state)
{
	static const uint8_t address[] = {10, 0, 0, 1}, protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	static const struct nft_ports ports[] = {{80, 80}, {90, 99}};

	(void)state;
	begin_netdev();
	add_address_set("to4", (const char *const[][2]){{"10.0.0.0", "10.0.0.255"}, {NULL, NULL}});
	nft_add_set(&batch, &(struct nft_set){.name = "to6_ports",
					      .fields = {NFT_TYPE_IPV6, NFT_TYPE_PORT},
					      .has_ranges = true});
	nft_set_add(&batch, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\120\0\0",
		    "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\132\0\0");
	nft_set_end(&batch);
	nft_rule_begin(&batch, "act");
	nft_count(&batch, "hit");
	nft_match_packet_share(&batch, 50000000);
	nft_verdict(&batch, NF_DROP);
	nft_rule_end(&batch, "loss 5%");
	nft_rule_begin(&batch, "act");
	nft_duplicate(&batch, 1);
	nft_rule_end(&batch, NULL);
	nft_rule_begin(&batch, "act");
	nft_forward(&batch, 1);
	nft_rule_end(&batch, "delay");
	nft_rule_begin(&batch, "out");
	nft_match_not_ip(&batch);
	accept_rule("not IP");
	nft_rule_begin(&batch, "out");
	nft_match_icmpv6(&batch, 133, 137);
	accept_rule(NULL);
	nft_rule_begin(&batch, "out");
	nft_match_mark(&batch, 0xff00, 0x1200);
	nft_set_mark(&batch, 0xff00, 0);
	nft_rule_end(&batch, NULL);
	nft_rule_begin(&batch, "out");
	nft_match_address(&batch, AF_INET, NFT_SOURCE, address);
	nft_match_other_addresses(&batch, AF_INET, NFT_DESTINATION, "to4");
	nft_match_protocols(&batch, protocols, 1);
	nft_match_ports(&batch, NFT_DESTINATION, ports, 1);
	accept_rule(NULL);
	nft_rule_begin(&batch, "out");
	nft_match_addresses(&batch, AF_INET, NFT_DESTINATION, "to4");
	nft_match_protocols(&batch, protocols, 2);
	nft_match_ports(&batch, NFT_SOURCE, ports, 2);
	nft_match_flow_share(&batch, 300);
	nft_go_to(&batch, "act");
	nft_rule_end(&batch, "scope");
	nft_rule_begin(&batch, "out");
	nft_match_protocols(&batch, protocols, 2);
	nft_match_ports(&batch, NFT_SOURCE, ports + 1, 1);
	nft_match_services(&batch, AF_INET6, NFT_DESTINATION, "to6_ports");
	nft_limit(&batch, 10, 7, true);
	nft_jump_to(&batch, "act");
	nft_rule_end(&batch, NULL);
	commit();
	assert_shown(
		"netdev t",
		(const char *[]){
			"comment \"a comment\"",
			"flags owner",
			"elements = { 10.0.0.0/24 }",
			"elements = { fd00::1 . 80-90 }",
			"counter name \"hit\" numgen random mod 1000000000 < 50000000 drop comment "
			"\"loss 5%\"",
			"dup to \"lo\"\n",
			"fwd to \"lo\" comment \"delay\"",
			"type filter hook egress device \"lo\" priority 2147483647; policy accept;",
			"meta protocol != { ip, ip6 } accept comment \"not IP\"",
			"icmpv6 type 133-137 accept\n",
			"meta mark & 0x0000ff00 == 0x00001200 meta mark set meta mark & 0xffff00ff",
			"ip saddr 10.0.0.1 ip daddr != @to4 tcp dport 80 accept",
			"ip daddr @to4 meta l4proto { tcp, udp } th sport { 80, 90-99 } symhash "
			"mod "
			"1000000000 < 300 goto act comment \"scope\"",
			"meta l4proto { tcp, udp } th sport 90-99 ip6 daddr . th dport @to6_ports "
			"limit rate over 10/second burst 7 packets jump act",
			NULL,
		});
}

static void test_inet_tables_redirect(void **state)
{
	static const uint8_t udp = IPPROTO_UDP, network[4] = {10, 8, 0, 0};
	static const struct nft_ports dns = {53, 53};
	const uint16_t zone = 4711;

	(void)state;
	nft_add_table(&batch, NFPROTO_INET, "v", NULL);
	nft_add_hook_chain(&batch, &(struct nft_hook_chain){.name = "raw",
							    .hook = NF_INET_LOCAL_OUT,
							    .priority = -300});
	nft_add_hook_chain(&batch, &(struct nft_hook_chain){.name = "nat",
							    .hook = NF_INET_LOCAL_OUT,
							    .priority = -100,
							    .type = "nat"});
	nft_rule_begin(&batch, "raw");
	nft_match_egress(&batch, 1);
	nft_match_network(&batch, AF_INET, NFT_DESTINATION, network, 13);
	nft_match_protocols(&batch, &udp, 1);
	nft_match_ports(&batch, NFT_DESTINATION, &dns, 1);
	nft_load_value(&batch, 0, &zone, sizeof(zone));
	nft_store_ct(&batch, NFT_CT_ZONE, 0);
	nft_rule_end(&batch, NULL);
	nft_rule_begin(&batch, "nat");
	nft_load_ct(&batch, 0, NFT_CT_ZONE);
	nft_compare(&batch, 0, NFT_CMP_EQ, &zone, sizeof(zone));
	nft_match_protocols(&batch, &udp, 1);
	nft_redirect(&batch, 5000, 5003);
	nft_rule_end(&batch, NULL);
	commit();
	assert_shown("inet v",
		     (const char *[]){
			     "oif \"lo\" ip daddr 10.8.0.0/13 udp dport 53 ct zone set 4711",
			     "ct zone 4711 meta l4proto udp redirect to :5000-5003",
			     NULL,
		     });
	nft_use_table(&batch, NFPROTO_INET, "v");
	nft_flush_chain(&batch, "raw");
	commit();
	assert_null(strstr(listing("inet v"), "dport 53"));
	assert_non_null(strstr(listing("inet v"), "redirect"));
}

static void test_inet_tables_reject_and_remember_flows(void **state)
{
	static const uint8_t tcp = IPPROTO_TCP;

	(void)state;
	nft_add_table(&batch, NFPROTO_INET, "u", NULL);
	nft_add_set(&batch, &(struct nft_set){.name = "flows",
					      .fields = {NFT_TYPE_IPV4, NFT_TYPE_PORT},
					      .is_dynamic = true,
					      .size = 1000,
					      .timeout_ms = 60000});
	nft_add_hook_chain(&batch,
			   &(struct nft_hook_chain){.name = "o", .hook = NF_INET_LOCAL_OUT});
	nft_rule_begin(&batch, "o");
	nft_match_family(&batch, AF_INET);
	nft_match_protocols(&batch, &tcp, 1);
	nft_load_payload(&batch, 0, NFT_PAYLOAD_NETWORK_HEADER, 16, 4);
	nft_load_payload(&batch, 1, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
	nft_remember(&batch, 0, "flows", 0);
	nft_rule_end(&batch, NULL);
	nft_rule_begin(&batch, "o");
	nft_match_family(&batch, AF_INET);
	nft_load_payload(&batch, 0, NFT_PAYLOAD_NETWORK_HEADER, 16, 4);
	nft_load_port(&batch, 1, NFT_DESTINATION);
	nft_remember_bytes(&batch, 0, "flows", 5000000000);
	nft_verdict(&batch, NF_DROP);
	nft_rule_end(&batch, "after so much");
	nft_rule_begin(&batch, "o");
	nft_match_tcp_flags(&batch, 1 | 4);
	nft_verdict(&batch, NF_ACCEPT);
	nft_rule_end(&batch, NULL);
	nft_rule_begin(&batch, "o");
	nft_match_protocols(&batch, &tcp, 1);
	nft_match_ports(&batch, NFT_DESTINATION, &(struct nft_ports){9, 9}, 1);
	nft_reject(&batch, NFT_REJECT_TCP_RST, 0);
	nft_rule_end(&batch, "refused");
	nft_rule_begin(&batch, "o");
	nft_load_ct(&batch, 0, NFT_CT_MARK);
	nft_compare_u32(&batch, 0, NFT_CMP_EQ, 7);
	nft_reject(&batch, NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_HOST_UNREACH);
	nft_rule_end(&batch, NULL);
	commit();
	assert_shown("inet u",
		     (const char *[]){
			     "type ipv4_addr . inet_service\nsize 1000\nflags dynamic,timeout\n"
			     "timeout 1m",
			     "update @flows { ip daddr . tcp dport }",
			     "quota over 5000000000 bytes } drop comment \"after so much\"",
			     "tcp flags fin,rst accept",
			     "tcp dport 9 reject with tcp reset comment \"refused\"",
			     "ct mark 0x00000007 reject with icmpx host-unreachable",
			     NULL,
		     });
}

static void test_ranges_that_touch_or_overlap_are_joined(void **state)
{
	static const char *const ranges[][2] = {
		{"0.0.0.0", "0.0.0.9"},
		{"10.0.0.0", "10.0.0.127"},
		{"10.0.0.5", "10.0.0.6"},
		{"10.0.0.128", "10.0.0.255"},
		{"10.0.2.1", "10.0.2.1"},
		{"255.255.255.254", "255.255.255.255"},
		{"255.255.255.255", "255.255.255.255"},
		{NULL, NULL},
	};

	(void)state;
	nft_add_table(&batch, NFPROTO_NETDEV, "t", NULL);
	add_address_set("to4", ranges);
	commit();
	assert_shown("netdev t", (const char *[]){"elements = { 0.0.0.0-0.0.0.9, 10.0.0.0/24,\n"
						  "10.0.2.1, 255.255.255.254/31 }",
						  NULL});
}

static void test_ranges_out_of_order_are_refused_as_a_whole(void **state)
{
	static const char *const ranges[][2] = {
		{"10.0.0.9", "10.0.0.9"}, {"10.0.0.1", "10.0.0.1"}, {NULL, NULL}};
	uint32_t owner;

	(void)state;
	nft_add_table(&batch, NFPROTO_NETDEV, "t", NULL);
	add_address_set("to4", ranges);
	assert_true(nft_commit(netlink, &batch, NULL) < 0);
	assert_int_equal(nft_find_table(netlink, NFPROTO_NETDEV, "t", &owner, NULL), -ENOENT);
}

static void test_the_kernels_sentence_and_the_object_are_in_the_error(void **state)
{
	struct error err = ERROR_INIT;
	uint32_t owner;

	(void)state;
	begin_netdev();
	nft_rule_begin(&batch, "nowhere");
	accept_rule("lost");
	assert_int_equal(nft_commit(netlink, &batch, &err), -ENOENT);
	assert_string_equal(err.text, "nf_tables: a rule of chain nowhere (lost): "
				      "No such file or directory");
	assert_int_equal(nft_find_table(netlink, NFPROTO_NETDEV, "t", &owner, NULL), -ENOENT);
	nft_batch_begin(&batch);
	nft_add_table(&batch, NFPROTO_NETDEV, "t", NULL);
	nft_add_hook_chain(&batch,
			   &(struct nft_hook_chain){.name = "out", .hook = 2, .device = "lo"});
	assert_int_equal(nft_commit(netlink, &batch, &err), -EOPNOTSUPP);
	assert_string_equal(err.text, "nf_tables: chain out: Operation not supported");
	assert_int_equal(nft_find_table(netlink, NFPROTO_NETDEV, "t", &owner, NULL), -ENOENT);
	/* and the conversation goes on */
	nft_batch_begin(&batch);
	nft_add_table(&batch, NFPROTO_NETDEV, "t", NULL);
	commit();
	nft_add_table(&batch, NFPROTO_NETDEV, "t", NULL);
	assert_int_equal(nft_commit(netlink, &batch, &err), -EEXIST);
	assert_non_null(strstr(err.text, "nf_tables: table t: File exists"));
	nft_batch_begin(&batch);
}

/* The kernel names the holder by a port of netlink's, which is no process to end. */
static void test_a_table_that_is_held_is_not_removed(void **state)
{
	struct error err = ERROR_INIT;
	struct netlink *other;

	(void)state;
	nft_add_table(&batch, NFPROTO_NETDEV, "t", NULL);
	commit();
	assert_int_equal(netlink_open_netfilter(-1, &other, NULL), 0);
	assert_int_equal(nft_remove_table(other, NFPROTO_NETDEV, "t", &err), -EPERM);
	assert_non_null(strstr(err.text, "table t is held by a process that has not gone yet"));
	assert_null(strstr(err.remedy, "kill"));
	netlink_close(other);
	nft_delete_table(&batch, NFPROTO_NETDEV, "t");
	commit();
}

static void test_a_table_lives_as_long_as_its_conversation(void **state)
{
	struct netlink *other;
	uint32_t owner = 0;

	(void)state;
	nft_add_table(&batch, NFPROTO_NETDEV, "t", NULL);
	commit();
	assert_int_equal(netlink_open_netfilter(-1, &other, NULL), 0);
	assert_int_equal(nft_find_table(other, NFPROTO_NETDEV, "t", &owner, NULL), 0);
	assert_int_not_equal(owner, 0);
	nft_delete_table(&batch, NFPROTO_NETDEV, "t");
	assert_int_equal(nft_commit(other, &batch, NULL), -EPERM);
	netlink_close(netlink);
	assert_int_equal(nft_find_table(other, NFPROTO_NETDEV, "t", &owner, NULL), -ENOENT);
	netlink = other;
	nft_batch_begin(&batch);
}

/* As a fault on a provider's published networks. The time is printed, not judged. */
/* Before Linux 6.10 the kernel does not answer to it at all. */
static void test_nothing_to_change_asks_nobody(void **state)
{
	struct nft_batch nothing;

	(void)state;
	nft_batch_begin(&nothing);
	nft_use_table(&nothing, NFPROTO_NETDEV, "t");
	assert_int_equal(nft_commit(NULL, &nothing, NULL), 0);
}

static void test_a_hundred_thousand_networks(void **state)
{
	const char *text;
	int64_t started_ns = clock_now_ns();
	unsigned shown = 0;

	(void)state;
	nft_add_table(&batch, NFPROTO_NETDEV, "t", NULL);
	nft_add_set(&batch, &(struct nft_set){
				    .name = "to4", .fields = {NFT_TYPE_IPV4}, .has_ranges = true});
	for (uint32_t i = 0; i < 100000; i++) {
		uint32_t first = htonl(0x0a000000 + i * 512), last = htonl(0x0a0000ff + i * 512);

		nft_set_add(&batch, &first, &last);
	}
	nft_set_end(&batch);
	commit();
	print_message("  100,000 networks in %.3f s\n",
		      (double)(clock_now_ns() - started_ns) / 1e9);
	/* first, last, and that there are some in each of the messages between */
	text = listing(
		"netdev t | grep -oE '10[.](0[.]0|128[.]2|255[.]254)[.]0/24|13[.]13[.]62[.]0/24'");
	while ((text = strchr(text, '\n'))) {
		shown++;
		text++;
	}
	assert_int_equal(shown, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_conversation, close_conversation)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_conditions_read_as_an_operator_writes_them),
		TEST(test_inet_tables_redirect),
		TEST(test_inet_tables_reject_and_remember_flows),
		TEST(test_ranges_that_touch_or_overlap_are_joined),
		TEST(test_ranges_out_of_order_are_refused_as_a_whole),
		TEST(test_the_kernels_sentence_and_the_object_are_in_the_error),
		TEST(test_a_table_that_is_held_is_not_removed),
		TEST(test_a_table_lives_as_long_as_its_conversation),
		TEST(test_nothing_to_change_asks_nobody),
		TEST(test_a_hundred_thousand_networks),
	};

	if (unshare(CLONE_NEWNET) < 0 || system("ip link set lo up")) {
		fprintf(stderr, "needs root\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
