/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The dns fault on real queries to a real server: every answer for the chosen names, none for their
 * neighbours, and what is refused. Who asks, and how: test_dns_clients.c; the end of it:
 * test_dns_restore.c.
 */
#include "tests/netns/dns_bench.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"

#include <errno.h>
#include <stdio.h>

#define LOST_MS 300
#define REFUSED 5

static const char *const servers[] = {"10.88.0.2", "fd88::2"};

static void test_a_name_does_not_exist_over_both_protocols_and_families(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "name", "gone.test", "answer",
	      "nxdomain");
	for (unsigned i = 0; i < 2; i++)
		for (int tcp = 0; tcp < 2; tcp++) {
			struct dns_reply reply = DNS_ASK(lab, .server = servers[i],
							 .name = "GoNe.TeSt", .over_tcp = tcp);

			assert_int_equal(reply.rcode, DNS_NXDOMAIN);
			assert_int_equal(reply.answers, 0);
			ASSERT_SERVED(lab, .server = servers[i], .name = "Here.test",
				      .over_tcp = tcp);
			ASSERT_SERVED(lab, .server = servers[i], .name = "www.gone.test",
				      .over_tcp = tcp, .type = DNS_TYPE_AAAA);
		}
	/* the server next to it was not named */
	ASSERT_SERVED(lab, .server = "10.88.0.3", .name = "gone.test");
	assert_int_equal(netlab_evidence(&fault).hits, 4);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	for (int tcp = 0; tcp < 2; tcp++)
		ASSERT_SERVED(lab, .name = "gone.test", .over_tcp = tcp);
	netlab_same(lab, before);
}

static void test_every_answer(void **state)
{
	static const struct {
		const char *word;
		int rcode;
	} cases[] = {{"servfail", DNS_SERVFAIL},
		     {"refused", DNS_REFUSED},
		     {"empty", DNS_NOERROR},
		     {"drop", -1}};
	struct netlab *lab = *state;
	struct netlab_fault fault;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		START(lab, &fault, "to", "10.88.0.2", "domain", "bad.test.", "answer",
		      cases[i].word);
		for (int tcp = 0; tcp < 2; tcp++) {
			struct dns_reply reply = DNS_ASK(lab, .name = "a.b.bad.test",
							 .timeout_ms = LOST_MS, .over_tcp = tcp);

			assert_int_equal(reply.rcode, cases[i].rcode);
			assert_int_equal(reply.answers, 0);
			ASSERT_SERVED(lab, .name = "notbad.test", .over_tcp = tcp);
		}
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

static void test_a_wrong_address(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct dns_reply reply;

	START(lab, &fault, "to", "10.88.0.2", "pattern", "^db[0-9]+\\.test$", "answer", "address",
	      "address", "198.51.100.7", "address", "198.51.100.8", "address", "2001:db8::bad");
	reply = DNS_ASK(lab, .name = "db1.test");
	assert_int_equal(reply.answers, 2);
	assert_string_equal(reply.address, "198.51.100.7");
	reply = DNS_ASK(lab, .name = "db22.test", .type = DNS_TYPE_AAAA, .over_tcp = true);
	assert_int_equal(reply.answers, 1);
	assert_string_equal(reply.address, "2001:db8::bad");
	reply = DNS_ASK(lab, .name = "db1.test", .type = DNS_TYPE_HTTPS);
	assert_int_equal(reply.rcode, 0);
	assert_int_equal(reply.answers, 0);
	ASSERT_SERVED(lab, .name = "dbx.test");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* Of networks that nobody has. */
static void test_another_address_each_time(void **state)
{
	static const uint16_t types[] = {DNS_TYPE_A, DNS_TYPE_AAAA};
	static const char *const networks[] = {"198.1", "2001:db8:"};
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "to", "10.88.0.2", "domain", "lost.test", "answer", "random");
	for (unsigned i = 0; i < 2; i++) {
		char first[64] = "";
		unsigned others = 0;

		for (unsigned k = 0; k < 20; k++) {
			struct dns_reply reply = DNS_ASK(lab, .name = "lost.test", .type = types[i],
							 .over_tcp = k % 2);

			assert_int_equal(reply.rcode, 0);
			assert_int_equal(reply.answers, 1);
			assert_int_equal(strncmp(reply.address, networks[i], strlen(networks[i])),
					 0);
			if (!k)
				snprintf(first, sizeof(first), "%s", reply.address);
			others += strcmp(reply.address, first) != 0;
		}
		assert_true(others >= 15);
	}
	assert_int_equal(DNS_ASK(lab, .name = "lost.test", .type = DNS_TYPE_HTTPS).answers, 0);
	ASSERT_SERVED(lab, .name = "found.test");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_a_delay_holds_the_chosen_and_nobody_else(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "to", "10.88.0.2", "domain", "slow.test", "delay", "300ms");
	for (int tcp = 0; tcp < 2; tcp++) {
		struct dns_reply slow = DNS_ASK(lab, .name = "slow.test", .over_tcp = tcp),
				 fast = DNS_ASK(lab, .name = "fast.test", .over_tcp = tcp);

		assert_int_equal(slow.rcode, 0);
		assert_string_equal(slow.address, "192.0.2.1");
		assert_true(slow.took_ns >= 300 * NSEC_PER_MSEC);
		assert_int_equal(fast.rcode, 0);
		assert_true(fast.took_ns < 300 * NSEC_PER_MSEC);
	}
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void set_level(struct netlab_fault *fault, int64_t percent)
{
	fault->fault.level_ppb = percent * (SHARE_ONE / 100);
	assert_int_equal(dns_fault.set_level(&fault->fault, NULL), 0);
}

/* A delay grows; an answer is given to more. */
static void test_a_ramp(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct dns_reply half;
	unsigned lies = 0;

	START(lab, &fault, "to", "10.88.0.2", "domain", "slow.test", "delay", "1s");
	set_level(&fault, 0);
	assert_true(DNS_ASK(lab, .name = "slow.test").took_ns < 400 * NSEC_PER_MSEC);
	set_level(&fault, 40);
	half = DNS_ASK(lab, .name = "slow.test", .over_tcp = true);
	assert_true(half.took_ns >= 400 * NSEC_PER_MSEC && half.took_ns < 1000 * NSEC_PER_MSEC);
	set_level(&fault, 100);
	assert_true(DNS_ASK(lab, .name = "slow.test").took_ns >= 1000 * NSEC_PER_MSEC);
	netlab_fault_finish(&fault, FAULT_END_SOFT);

	START(lab, &fault, "to", "10.88.0.2", "name", "gone.test", "answer", "nxdomain");
	set_level(&fault, 0);
	ASSERT_SERVED(lab, .name = "gone.test");
	set_level(&fault, 50);
	for (unsigned i = 0; i < 100; i++)
		lies += DNS_ASK(lab, .name = "gone.test").rcode == DNS_NXDOMAIN;
	assert_in_range(lies, 25, 75);
	set_level(&fault, 100);
	assert_int_equal(DNS_ASK(lab, .name = "gone.test").rcode, DNS_NXDOMAIN);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_each_protocol_that_is_named_is_met(void **state)
{
	static const char *const named[] = {"udp", "tcp"};
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "to", "10.88.0.2", "name", "gone.test", "answer", "nxdomain", "protocol",
	      "tcp", "protocol", "udp");
	for (int tcp = 0; tcp < 2; tcp++)
		assert_int_equal(DNS_ASK(lab, .name = "gone.test", .over_tcp = tcp).rcode,
				 DNS_NXDOMAIN);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	for (int met = 0; met < 2; met++) {
		START(lab, &fault, "to", "10.88.0.2", "name", "gone.test", "answer", "nxdomain",
		      "protocol", named[met]);
		for (int tcp = 0; tcp < 2; tcp++)
			assert_int_equal(DNS_ASK(lab, .name = "gone.test", .over_tcp = tcp).rcode,
					 tcp == met ? DNS_NXDOMAIN : DNS_NOERROR);
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

static void test_two_faults_add_up(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	struct error err = ERROR_INIT;

	START(lab, &first, "to", "10.88.0.2", "name", "one.test", "answer", "nxdomain");
	if (netlab_fault_plan_step(lab, &second, &first, 1,
				   (const char *[]){"fault", "dns", "to", "10.88.0.2", "name",
						    "two.test", "answer", "refused", NULL},
				   &err) < 0 ||
	    dns_fault.inject(&second.fault, &err) < 0)
		fail_msg("%s", err.text);
	for (int tcp = 0; tcp < 2; tcp++) {
		assert_int_equal(DNS_ASK(lab, .name = "one.test", .over_tcp = tcp).rcode,
				 DNS_NXDOMAIN);
		assert_int_equal(DNS_ASK(lab, .name = "two.test", .over_tcp = tcp).rcode, REFUSED);
		ASSERT_SERVED(lab, .name = "three.test", .over_tcp = tcp);
	}
	/* the older one ends, the newer one stays */
	netlab_fault_end(&first, FAULT_END_SOFT);
	netlab_undo_step(first.run_id, 0);
	ASSERT_SERVED(lab, .name = "one.test");
	assert_int_equal(DNS_ASK(lab, .name = "two.test").rcode, REFUSED);
	second.journal = NULL;
	netlab_fault_end(&second, FAULT_END_SOFT);
	netlab_fault_finish(&second, FAULT_END_SOFT);
	netlab_fault_finish(&first, FAULT_END_SOFT);
	ASSERT_SERVED(lab, .name = "two.test");
}

/* Firewalls drop by single bits of packets' marks, and write over them: neither is about ours. */
static void test_rules_about_marks_are_not_about_what_is_passed_on(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	netlab_run("ip netns exec %s nft -- add table inet fw; add chain inet fw out { type filter "
		   "hook output priority 0; }; add rule inet fw out meta mark != 0 drop; "
		   "add chain inet fw restore { type route hook output priority -310; }; "
		   "add rule inet fw restore meta mark set 0",
		   lab->near);
	START(lab, &fault, "to", "10.88.0.2", "name", "one.test", "answer", "nxdomain");
	for (int tcp = 0; tcp < 2; tcp++) {
		assert_int_equal(DNS_ASK(lab, .name = "one.test", .over_tcp = tcp).rcode,
				 DNS_NXDOMAIN);
		ASSERT_SERVED(lab, .name = "three.test", .over_tcp = tcp);
	}
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_run("ip netns exec %s nft delete table inet fw", lab->near);
}

/* Whatever tells ours can be taken off: that is the end, and no storm. */
static void see_what_comes_back(struct netlab *lab, bool over_tcp)
{
	struct netlab_fault fault;
	struct evidence seen;
	struct error err = ERROR_INIT;

	netlab_run("ip netns exec %s nft -- add table inet fw; add chain inet fw out { type filter "
		   "hook output priority -310; }; add rule inet fw out meta priority set 0",
		   lab->near);
	START(lab, &fault, "to", "10.88.0.2", "name", "one.test", "answer", "nxdomain");
	assert_int_equal(DNS_ASK(lab, .name = "one.test", .over_tcp = over_tcp).rcode,
			 DNS_NXDOMAIN);
	assert_int_equal(DNS_ASK(lab, .name = "three.test", .over_tcp = over_tcp).rcode,
			 over_tcp ? -2 : -1); /* reset at once, or silence */
	assert_int_equal(dns_fault.evidence(&fault.fault, &seen, &err), -ESTALE);
	assert_non_null(strstr(err.text, "comes back"));
	assert_non_null(strstr(seen.detail, over_tcp ? "1 of 2 queries" : "1 of 3 queries"));
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	netlab_run("ip netns exec %s nft delete table inet fw", lab->near);
}

static void test_what_comes_back_is_seen(void **state)
{
	see_what_comes_back(*state, false);
	see_what_comes_back(*state, true);
}

/* Whoever gives queries a zone of connection tracking before we do keeps them: they pass. Later it
 * is too late. */
static void test_what_has_a_zone_of_its_own_passes(void **state)
{
	static const int priorities[] = {-400, -300};
	struct netlab *lab = *state;

	for (unsigned i = 0; i < 2; i++) {
		struct netlab_fault fault;

		netlab_run(
			"ip netns exec %s nft -- add table inet fw; add chain inet fw out { type "
			"filter hook output priority %d; }; add rule inet fw out meta l4proto "
			"{ tcp, udp } th dport 53 ct zone set 5",
			lab->near, priorities[i]);
		START(lab, &fault, "to", "10.88.0.2", "name", "one.test", "answer", "nxdomain");
		for (int tcp = 0; tcp < 2 && i == 0; tcp++)
			ASSERT_SERVED(lab, .name = "one.test", .over_tcp = tcp);
		for (int tcp = 0; tcp < 2 && i == 1; tcp++)
			assert_int_equal(DNS_ASK(lab, .name = "one.test", .over_tcp = tcp).rcode,
					 DNS_NXDOMAIN);
		netlab_fault_finish(&fault, FAULT_END_SOFT);
		netlab_run("ip netns exec %s nft delete table inet fw", lab->near);
	}
}

static void test_links_that_go_are_missed(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence seen;
	struct error err = ERROR_INIT;

	netlab_run("ip -n %s link add sqgone type veth peer name sqgone2", lab->near);
	netlab_run("ip -n %s link set sqgone up", lab->near);
	START(lab, &fault, "to", "10.88.0.2", "interface", "sqgone", "name", "one.test", "answer",
	      "nxdomain");
	netlab_run("ip -n %s link set lo down", lab->near);
	assert_int_equal(dns_fault.evidence(&fault.fault, &seen, &err), -ESTALE);
	assert_string_equal(err.text, "lo was taken down, and queries are answered there");
	netlab_run("ip -n %s link set lo up", lab->near);
	assert_int_equal(dns_fault.evidence(&fault.fault, &seen, NULL), 0);
	netlab_run("ip -n %s link del sqgone", lab->near);
	assert_int_equal(dns_fault.evidence(&fault.fault, &seen, &err), -ESTALE);
	assert_string_equal(err.text, "interface sqgone is gone");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* What innocent names pay, for the log; no limit on speed, but a shape. */
static void test_other_names_are_nearly_as_fast(void **state)
{
	enum { COUNT = 200 };
	struct netlab *lab = *state;
	int64_t best[2] = {INT64_MAX, INT64_MAX}, sum[2] = {0};
	struct netlab_fault fault;

	for (unsigned phase = 0; phase < 2; phase++) {
		if (phase)
			START(lab, &fault, "to", "10.88.0.2", "domain", "gone.test", "answer",
			      "nxdomain");
		for (unsigned i = 0; i < COUNT; i++) {
			struct dns_reply reply = DNS_ASK(lab, .name = "here.test");

			assert_int_equal(reply.rcode, 0);
			sum[phase] += reply.took_ns;
			if (reply.took_ns < best[phase])
				best[phase] = reply.took_ns;
		}
	}
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	print_message("other names: %lld us instead of %lld us at best, %lld us instead of %lld us "
		      "on average\n",
		      (long long)best[1] / 1000, (long long)best[0] / 1000,
		      (long long)sum[1] / COUNT / 1000, (long long)sum[0] / COUNT / 1000);
	assert_true(best[1] < best[0] + 100 * NSEC_PER_MSEC);
}

static void test_refusals(void **state)
{
	static const char *const cases[][8] = {
		{"answer", "nxdomain"},
		{"name", "a..test", "answer", "empty"},
		{"name",
		 "b\xc3\xbc"
		 "cher.test",
		 "answer", "empty"},
		{"name", "*.test", "answer", "empty"},
		{"name", "a.test", "answer", "address"},
		{"name", "a.test", "answer", "address", "address", "10.0.0.0/8"},
		{"name", "a.test", "answer", "drop", "delay", "1s"},
		/* of the target: what it would not do */
		{"except", "10.88.0.3", "name", "a.test", "answer", "empty"},
		{"except-local-port", "5000", "name", "a.test", "answer", "empty"},
		{"local-address", "10.88.0.1", "name", "a.test", "answer", "empty"},
		{"except-local-address", "10.88.0.1", "name", "a.test", "answer", "empty"},
		{"share", "50%", "name", "a.test", "answer", "empty"},
		{"vlan", "5", "name", "a.test", "answer", "empty"},
		{"neighbours", "true", "name", "a.test", "answer", "empty"},
		{"protocol", "sctp", "name", "a.test", "answer", "empty"},
	};
	struct netlab *lab = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *settings[16] = {"fault", "dns", "to", "10.88.0.2"};
		struct netlab_fault fault;
		struct error err = ERROR_INIT;

		memcpy(settings + 4, cases[i], sizeof(cases[i]));
		assert_int_equal(netlab_fault_plan(lab, &fault, "rrrrr1", settings, &err), -EINVAL);
		assert_true(err.text[0]);
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_name_does_not_exist_over_both_protocols_and_families),
		cmocka_unit_test(test_every_answer),
		cmocka_unit_test(test_a_wrong_address),
		cmocka_unit_test(test_another_address_each_time),
		cmocka_unit_test(test_a_delay_holds_the_chosen_and_nobody_else),
		cmocka_unit_test(test_a_ramp),
		cmocka_unit_test(test_each_protocol_that_is_named_is_met),
		cmocka_unit_test(test_two_faults_add_up),
		cmocka_unit_test(test_rules_about_marks_are_not_about_what_is_passed_on),
		cmocka_unit_test(test_what_comes_back_is_seen),
		cmocka_unit_test(test_what_has_a_zone_of_its_own_passes),
		cmocka_unit_test(test_links_that_go_are_missed),
		cmocka_unit_test(test_other_names_are_nearly_as_fast),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
