/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is undone of faults that redirect: the flows that connection tracking remembers, all of
 * them, and in no other namespace than theirs.
 */
#include "tests/support/netlab.h"
#include "tests/support/squall_runner.h"
#include "tests/sweep/netlink_text.h"

#include "faults/dns.h"
#include "injector/kernel/conntrack.h"
#include "injector/kernel/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define RESPONDER  40001
#define FLOWS	   20000
#define FIRST_PORT 1024

static struct sockaddr_storage address(const char *text, uint16_t port)
{
	struct sockaddr_storage out = {0};
	struct sockaddr_in6 *in6 = (void *)&out;
	struct sockaddr_in *in = (void *)&out;
	bool is_v6 = strchr(text, ':') != NULL;

	out.ss_family = is_v6 ? AF_INET6 : AF_INET;
	in->sin_port = htons(port); /* at the same place in both */
	assert_int_equal(inet_pton(out.ss_family, text,
				   is_v6 ? (void *)&in6->sin6_addr : (void *)&in->sin_addr),
			 1);
	return out;
}

static void put_tuple(struct netlink_request *request, uint16_t which,
		      const struct sockaddr_storage *from, const struct sockaddr_storage *to)
{
	const struct sockaddr_in *source = (const void *)from, *target = (const void *)to;
	const struct sockaddr_in6 *source6 = (const void *)from, *target6 = (const void *)to;
	const uint8_t tcp = IPPROTO_TCP;

	netlink_nest(request, which | NLA_F_NESTED);
	netlink_nest(request, CTA_TUPLE_IP | NLA_F_NESTED);
	if (from->ss_family == AF_INET) {
		netlink_put(request, CTA_IP_V4_SRC, &source->sin_addr, 4);
		netlink_put(request, CTA_IP_V4_DST, &target->sin_addr, 4);
	} else {
		netlink_put(request, CTA_IP_V6_SRC, &source6->sin6_addr, 16);
		netlink_put(request, CTA_IP_V6_DST, &target6->sin6_addr, 16);
	}
	netlink_unnest(request);
	netlink_nest(request, CTA_TUPLE_PROTO | NLA_F_NESTED);
	netlink_put(request, CTA_PROTO_NUM, &tcp, sizeof(tcp));
	netlink_put(request, CTA_PROTO_SRC_PORT, &source->sin_port, 2);
	netlink_put(request, CTA_PROTO_DST_PORT, &target->sin_port, 2);
	netlink_unnest(request);
	netlink_unnest(request);
}

/* As if a client had been redirected to the responder. */
static void add_flow_between(struct netlink *netfilter, const struct sockaddr_storage *client,
			     const struct sockaddr_storage *server,
			     const struct sockaddr_storage *here)
{
	struct nfgenmsg header = {.nfgen_family = (uint8_t)here->ss_family,
				  .version = NFNETLINK_V0};
	const uint32_t seconds = htonl(600);
	struct netlink_request request;
	struct error err = ERROR_INIT;

	netlink_begin(&request, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW, NLM_F_CREATE,
		      &header, sizeof(header));
	put_tuple(&request, CTA_TUPLE_ORIG, client, server);
	put_tuple(&request, CTA_TUPLE_REPLY, here, client);
	netlink_put(&request, CTA_TIMEOUT, &seconds, sizeof(seconds));
	if (netlink_call(netfilter, &request, NULL, NULL, &err) < 0)
		fail_msg("%s", err.text);
}

static void add_flow(struct netlink *netfilter, uint16_t port)
{
	const struct sockaddr_storage client = address("10.88.0.1", port),
				      server = address("10.88.0.2", 80),
				      here = address("127.0.0.1", RESPONDER);

	add_flow_between(netfilter, &client, &server, &here);
}

static bool has_flow(struct netlink *netfilter, uint16_t port)
{
	const struct conntrack_flow flow = {.protocol = IPPROTO_TCP,
					    .local = address("127.0.0.1", RESPONDER),
					    .remote = address("10.88.0.1", port)};
	struct sockaddr_storage meant;

	return conntrack_original(netfilter, &flow, &meant, NULL) == 0;
}

static bool has_forgotten(struct netlink *netfilter, const struct sockaddr_storage *here)
{
	struct error err = ERROR_INIT;
	bool is_clear = false;

	if (conntrack_has_forgotten(netfilter, IPPROTO_TCP, here, &is_clear, &err) < 0)
		fail_msg("%s", err.text);
	return is_clear;
}

static void must_forget(struct netlink *netfilter, const struct sockaddr_storage *here)
{
	struct error err = ERROR_INIT;

	assert_false(has_forgotten(netfilter, here));
	if (conntrack_forget(netfilter, IPPROTO_TCP, here, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(has_forgotten(netfilter, here));
}

static void test_every_flow_is_forgotten(void **state)
{
	struct netlab *lab = *state;
	const struct sockaddr_storage here = address("127.0.0.1", RESPONDER);
	struct netlink *netfilter = NULL;

	assert_int_equal(netlink_open_netfilter(lab->near_fd, &netfilter, NULL), 0);
	assert_true(has_forgotten(netfilter, &here));
	for (unsigned i = 0; i < FLOWS; i++)
		add_flow(netfilter, (uint16_t)(FIRST_PORT + i));
	assert_true(has_flow(netfilter, FIRST_PORT));
	must_forget(netfilter, &here);
	for (unsigned i = 0; i < FLOWS; i++)
		assert_false(has_flow(netfilter, (uint16_t)(FIRST_PORT + i)));
	netlink_close(netfilter);
}

static void test_flows_of_ipv6_are_forgotten(void **state)
{
	struct netlab *lab = *state;
	const struct sockaddr_storage client = address("fd88::1", FIRST_PORT),
				      server = address("fd88::2", 80),
				      here = address("::1", RESPONDER);
	struct netlink *netfilter = NULL;

	assert_int_equal(netlink_open_netfilter(lab->near_fd, &netfilter, NULL), 0);
	add_flow_between(netfilter, &client, &server, &here);
	must_forget(netfilter, &here);
	netlink_close(netfilter);
}

/* The sweep looks for flows that still lead to a port of ours, and for no others. */
static void test_the_sweep_sees_what_was_not_forgotten(void **state)
{
	struct netlab *lab = *state;
	const struct sockaddr_storage here = address("127.0.0.1", RESPONDER);
	struct netlink *netfilter = NULL;
	struct netlink_text text;
	char *recorded[2], *other;
	size_t size;

	assert_int_equal(netlink_open_netfilter(lab->near_fd, &netfilter, NULL), 0);
	netlink_text_open(&text, lab->near_fd);
	for (unsigned i = 0; i < 2; i++) {
		FILE *file = open_memstream(&recorded[i], &size),
		     *others = open_memstream(&other, &size);

		if (i == 0)
			add_flow(netfilter, FIRST_PORT);
		else
			assert_int_equal(conntrack_forget(netfilter, IPPROTO_TCP, &here, NULL), 0);
		netlink_text_write(&text, others, file, others);
		fclose(file);
		fclose(others);
		free(other);
	}
	assert_non_null(strstr(recorded[0], "flow to 0a580002 is led to our port 40001"));
	assert_null(strstr(recorded[1], "flow "));
	free(recorded[0]);
	free(recorded[1]);
	netlink_close(netfilter);
	netlink_close(text.counting);
	close(text.route);
	close(text.netfilter);
}

static struct journal_record record_of(const struct redirect_record *what)
{
	struct journal_record record = {.type = REDIRECT_RECORD_TABLE};

	memcpy(record.payload, what, sizeof(*what));
	return record;
}

/* It got the inode number of one that is gone. */
static void test_a_namespace_that_took_the_number_of_another_is_left_alone(void **state)
{
	struct netlab *lab = *state;
	struct redirect_record what = {.table = "squall_cookie_0", .port = RESPONDER};
	struct netlink *netfilter = NULL;
	struct journal_record record;
	char left[512] = "";
	bool is_gone = false;

	assert_int_equal(netlink_open_netfilter(lab->near_fd, &netfilter, NULL), 0);
	if (!netlink_namespace_cookie(netfilter))
		stage_skip("no number of a network namespace before Linux 5.14");
	netlab_run("ip netns exec %s nft add table inet %s", lab->near, what.table);
	add_flow(netfilter, FIRST_PORT);
	assert_int_equal(namespace_identify(lab->near_fd, &what.namespace_id, NULL), 0);
	what.namespace_cookie = netlink_namespace_cookie(netfilter) + 1;
	record = record_of(&what);
	assert_int_equal(redirect_undo(&record, NULL), 0);
	assert_int_equal(redirect_verify(&record, &is_gone, left, sizeof(left), NULL), 0);
	assert_true(is_gone);
	assert_true(has_flow(netfilter, FIRST_PORT));
	netlab_run("ip netns exec %s nft list table inet %s", lab->near, what.table);
	what.namespace_cookie = netlink_namespace_cookie(netfilter);
	record = record_of(&what);
	assert_int_equal(redirect_undo(&record, NULL), 0);
	assert_false(has_flow(netfilter, FIRST_PORT));
	assert_true(netlab_try("ip netns exec %s nft list table inet %s", lab->near, what.table) !=
		    0);
	netlink_close(netfilter);
}

/* What a fault writes down of its namespace. */
static void test_the_record_names_the_namespace_for_good(void **state)
{
	struct netlab *lab = *state;
	struct target target = {.kind = TARGET_TRAFFIC, .namespace_fd = lab->near_fd};
	const struct fault fault = {.target = &target};
	struct netlink *netfilter = NULL;
	struct redirect_state planned = {0};

	assert_int_equal(netlink_open_netfilter(lab->near_fd, &netfilter, NULL), 0);
	if (!netlink_namespace_cookie(netfilter))
		stage_skip("no number of a network namespace before Linux 5.14");
	assert_int_equal(redirect_plan(&planned, &dns_kind, &fault, NULL), 0);
	assert_true(planned.record.namespace_cookie == netlink_namespace_cookie(netfilter));
	redirect_release(&planned);
	netlink_close(netfilter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_flow_is_forgotten),
		cmocka_unit_test(test_flows_of_ipv6_are_forgotten),
		cmocka_unit_test(test_the_sweep_sees_what_was_not_forgotten),
		cmocka_unit_test(test_a_namespace_that_took_the_number_of_another_is_left_alone),
		cmocka_unit_test(test_the_record_names_the_namespace_for_good),
	};

	return cmocka_run_group_tests(tests, netlab_setup, netlab_teardown);
}
