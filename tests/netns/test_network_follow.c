/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `follow: true`: a name moves in a real DNS server, and the fault with it, by each way to take
 * packets and to delay them. Nothing that was and stays in scope passes meanwhile. What cannot be
 * looked up, or is not allowed, leaves the fault where it was.
 */
#include "tests/support/dns_server.h"
#include "tests/support/netlab_flow.h"
#include "tests/support/squall_runner.h"

#include "faults/network.h"
#include "faults/target_follow.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include <cmocka.h>

#define DELAY_MS 100
#define HERE	 "10.88.0.2 here.test\n"

static void use_server(const struct stage *stage)
{
	if (mount(stage_path(stage, "resolv.conf"), "/etc/resolv.conf", NULL, MS_BIND, NULL) < 0)
		_exit(126);
}

/* A stage with a name server; `store.test` is 10.88.0.2. */
static int setup(void **state)
{
	static char hosts[128];
	struct stage *stage;

	if (stage_setup(state) != 0)
		return -1;
	stage = *state;
	snprintf(hosts, sizeof(hosts), "%s", stage_path(stage, "hosts"));
	stage_write(stage, "resolv.conf", "nameserver 10.88.0.2\noptions timeout:1 attempts:1\n");
	stage_write(stage, "hosts", HERE "10.88.0.2 store.test\n");
	dns_hosts_start(stage->lab, hosts);
	return 0;
}

static int teardown(void **state)
{
	dns_servers_signal(SIGCONT);
	dns_servers_stop();
	return stage_teardown(state);
}

/* By a delay line, by netem where the kernel has it, and both by clsact. */
static const char *const ways[][3] = {
	{"SQUALL_NETEM=off", NULL},
	{"SQUALL_HOOK=clsact", "SQUALL_NETEM=off", NULL},
	{"SQUALL_NETEM=", NULL},
	{"SQUALL_HOOK=clsact", NULL},
};

/* The stored result has it among its notes. */
static void assert_noted(const struct stage *stage, const struct squall *squall, const char *words)
{
	json_t *result = stage_result(stage, squall->run_id), *note;
	bool is_noted = false;
	size_t i;

	json_array_foreach (json_object_get(result, "notes"), i, note)
		is_noted |= json_is_string(note) && strstr(json_string_value(note), words);
	assert_true(is_noted);
	json_decref(result);
}

static void move(struct stage *stage, const char *const *extra)
{
	const struct squall_how how = {.extra = extra, .prepare = use_server};
	struct squall *squall;

	dns_hosts_write(HERE "10.88.0.2 store.test\n");
	squall = squall_start(stage, &how,
			      "inject --json network to=store.test:7001 follow=true "
			      "follow-every=1s delay=100ms for=60s");
	squall_await_injected(squall);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, DELAY_MS);
	stage_assert_fast(stage, "10.88.0.3", NETLAB_PORT);
	dns_hosts_write(HERE "10.88.0.3 store.test\nfd88::3 store.test\n");
	squall_await_followed(squall, 1, true, "10.88.0.3, fd88::3 (was 10.88.0.2)");
	stage_assert_delay(stage, "10.88.0.3", NETLAB_PORT, DELAY_MS);
	stage_assert_delay(stage, "fd88::3", NETLAB_PORT, DELAY_MS);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	stage_assert_fast(stage, "fd88::2", NETLAB_PORT);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	assert_noted(stage, squall, "store.test is now at 10.88.0.3");
	stage_assert_fast(stage, "10.88.0.3", NETLAB_PORT);
	stage_assert_clean(stage);
}

static void test_the_fault_moves_with_the_name(void **state)
{
	for (unsigned i = 0; i < (netlab_has_netem() ? 4 : 2); i++) {
		printf("# %s\n", ways[i][0]);
		move(*state, ways[i]);
	}
}

/* Its new address is behind another interface. */
static void test_the_fault_moves_with_the_name_to_another_interface(void **state)
{
	static const struct squall_how how = {.prepare = use_server};
	struct stage *stage = *state;
	const struct netlab *lab = stage->lab;
	struct squall *squall;

	netlab_run("ip -n %s link add other type veth peer name far2 netns %s", lab->near,
		   lab->far);
	netlab_run("ip -n %s address add 10.88.2.1/24 dev other", lab->near);
	netlab_run("ip -n %s address add 10.88.2.2/24 dev far2", lab->far);
	netlab_run("ip -n %s link set far2 up", lab->far);
	netlab_run("ip -n %s link set other up", lab->near);
	squall = squall_start(
		stage, &how,
		"inject --json network to=store.test follow=true follow-every=1s delay=100ms "
		"for=60s targets=2");
	squall_await_injected(squall);
	dns_hosts_write(HERE "10.88.2.2 store.test\n");
	squall_await_followed(squall, 1, true, "10.88.2.2 (was 10.88.0.2)");
	squall_await_followed(squall, 2, true, "other");
	assert_true(netlab_ping(lab, "10.88.2.2", 5000) >= DELAY_MS * NSEC_PER_MSEC);
	assert_true(netlab_ping(lab, "10.88.2.2", 5000) >= DELAY_MS * NSEC_PER_MSEC);
	stage_assert_fast(stage, "10.88.0.2", NETLAB_PORT);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	netlab_run("ip -n %s link delete other", lab->near);
	stage_assert_clean(stage);
}

static void test_a_name_that_cannot_be_looked_up_stays(void **state)
{
	static const struct squall_how how = {.prepare = use_server};
	struct stage *stage = *state;
	struct squall *squall = squall_start(
		stage, &how,
		"inject --json network to=store.test:7001 follow=true follow-every=1s delay=100ms "
		"for=60s");

	squall_await_injected(squall);
	dns_hosts_write(HERE);
	squall_await_followed(squall, 1, false, "cannot be looked up");
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, DELAY_MS);
	/* a server that hangs holds up neither the run nor its end */
	dns_servers_signal(SIGSTOP);
	pause_ms(1500);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, DELAY_MS);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	assert_true(member_number(squall_event(squall, "stopped"), "duration_ns") < NSEC_PER_SEC);
	stage_assert_clean(stage);
}

static unsigned count_audited(const struct squall *squall, const char *event)
{
	FILE *file = fopen(stage_path(squall->stage, "lib/squall/audit.log"), "re");
	char line[2048];
	unsigned found = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		found += strstr(line, event) && strstr(line, squall->run_id);
	fclose(file);
	return found;
}

/* So many lines of this run have that event; the last one is written behind what was told. */
static void assert_audited(const struct squall *squall, const char *event, unsigned count)
{
	for (int tries = 0; tries < 100 && count_audited(squall, event) < count; tries++)
		pause_ms(50);
	assert_int_equal(count_audited(squall, event), count);
}

static void test_what_the_site_protects_is_not_followed(void **state)
{
	const struct squall_how how = {.prepare = use_server,
				       .policy = "version: 1\nprotect: {addresses: [10.88.0.3]}\n"};
	struct stage *stage = *state;
	struct squall *squall = squall_start(
		stage, &how,
		"inject --json network to=store.test:7001 follow=true follow-every=1s delay=100ms "
		"for=60s targets=2");

	squall_await_injected(squall);
	dns_hosts_write(HERE "10.88.0.3 store.test\n");
	squall_await_followed(squall, 1, false, "protected");
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, DELAY_MS);
	stage_assert_fast(stage, "10.88.0.3", NETLAB_PORT);
	dns_hosts_write(HERE "fd88::1:1 store.test\nfd88::1:2 store.test\nfd88::1:3 store.test\n");
	squall_await_followed(squall, 2, false, "limits.targets");
	dns_hosts_write(HERE "fd88::3 store.test\n10.88.0.2 store.test\n");
	squall_await_followed(squall, 3, true, "fd88::3");
	assert_audited(squall, "\"not-followed\"", 2);
	assert_audited(squall, "\"followed\"", 1);
	stage_assert_delay(stage, "fd88::3", NETLAB_PORT, DELAY_MS);
	stage_assert_delay(stage, "10.88.0.2", NETLAB_PORT, DELAY_MS);
	squall_signal(squall, SIGINT);
	squall_assert_exit(squall, 4);
	stage_assert_clean(stage);
}

/* Names change as fast as the worker can, and a stream that is in scope all the time meets it. */

struct changing {
	struct netlab_fault fault;
	pthread_t thread;
	atomic_bool is_over;
	unsigned changes;
	struct error err;
};

static void *keep_changing(void *context)
{
	static const char *const addresses[] = {"10.88.0.2", "10.88.0.2 10.88.0.3 fd88::3",
						"fd88::2 10.88.0.2"};
	struct changing *changing = context;
	struct fault *fault = &changing->fault.fault;
	char note[200];
	bool is_changed;
	int result = 0;

	while (result == 0 && !changing->is_over) {
		result = target_tell_addresses(fault->target, 0, addresses[++changing->changes % 3],
					       &changing->err);
		if (result == 0)
			result =
				target_end_addresses(fault->target, 0, &is_changed, &changing->err);
		target_drop_addresses(fault->target, 0);
		if (result == 0)
			result = fault->ops->follow(fault, note, sizeof(note), &changing->err);
	}
	return NULL;
}

static void begin_changing(struct netlab *lab, struct changing *changing, const char *host,
			   const char *effect, const char *value)
{
	const char *const settings[] = {"follow",    "true", "host", host,  "except", "10.88.0.9",
					"interface", "sqv0", effect, value, NULL};

	memset(changing, 0, sizeof(*changing));
	if (netlab_fault_plan(lab, &changing->fault, "fo110w", settings, &changing->err) < 0 ||
	    network_fault.inject(&changing->fault.fault, &changing->err) < 0)
		fail_msg("%s (%s)", changing->err.text, changing->err.remedy);
	assert_int_equal(pthread_create(&changing->thread, NULL, keep_changing, changing), 0);
}

static void end_changing(struct changing *changing, unsigned at_least)
{
	struct evidence evidence;

	changing->is_over = true;
	pthread_join(changing->thread, NULL);
	if (changing->err.code)
		fail_msg("%s", changing->err.text);
	printf("# %u changes\n", changing->changes);
	assert_true(changing->changes >= at_least);
	assert_int_equal(network_fault.evidence(&changing->fault.fault, &evidence, NULL), 0);
	assert_true(evidence.hits > 0);
	netlab_fault_finish(&changing->fault, FAULT_END_NOW);
}

static void try_changes(void **state)
{
	static const struct netlab_flow flow = {
		.count = 2000, .size = 200, .at_once = 1, .pause_us = 300, .quiet_ms = 1000};
	/* a set of addresses, and one of addresses with ports */
	static const char *const hosts[] = {"store.test 10.88.0.2", "store.test:7001 10.88.0.2"};
	struct netlab *lab = *state;
	struct changing changing;

	for (unsigned i = 0; i < 2; i++) {
		char *before = netlab_dump(lab);
		unsigned passed = 0;

		begin_changing(lab, &changing, hosts[i], "loss", "100%");
		for (unsigned round = 0; round < 2; round++)
			passed += netlab_answers(lab, "10.88.0.2", NETLAB_PORT, 5000);
		end_changing(&changing, 20);
		printf("# %u of 10000 answered\n", passed);
		assert_int_equal(passed, 0);
		netlab_same(lab, before);
	}
	for (unsigned is_netem = 0; is_netem < (netlab_has_netem() ? 2 : 1); is_netem++) {
		/* On two processors an ifb now and then lets a packet overtake by itself (7 of 2000
		 * with no change at all, on an emulated 6.1): a few say nothing. Whatever passes
		 * the fault is there too early. */
		const unsigned overtaken_most = is_netem ? flow.count / 20 : 0;
		struct netlab_seen seen;

		if (!is_netem && netlab_has_netem())
			setenv("SQUALL_NETEM", "off", 1);
		begin_changing(lab, &changing, hosts[0], "delay", "20ms");
		netlab_flow_run(lab, &flow, &seen);
		unsetenv("SQUALL_NETEM");
		end_changing(&changing, 20);
		printf("# %u of %u arrived, %u overtaken, the fastest after %.3f ms\n",
		       seen.arrived, flow.count, seen.overtaken, seen.least_ns / 1e6);
		assert_in_range(seen.overtaken, 0, overtaken_most);
		assert_int_equal(seen.arrived, flow.count);
		assert_true(seen.least_ns >= 20e6);
		free(seen.delays_ns);
	}
}

static void test_nothing_passes_while_addresses_change(void **state)
{
	try_changes(state);
}

static void test_nothing_passes_while_addresses_change_by_clsact(void **state)
{
	setenv("SQUALL_HOOK", "clsact", 1);
	try_changes(state);
	unsetenv("SQUALL_HOOK");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_fault_moves_with_the_name, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_the_fault_moves_with_the_name_to_another_interface, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_name_that_cannot_be_looked_up_stays, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_what_the_site_protects_is_not_followed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_nothing_passes_while_addresses_change,
						netlab_setup, netlab_teardown_ways),
		cmocka_unit_test_setup_teardown(
			test_nothing_passes_while_addresses_change_by_clsact, netlab_setup,
			netlab_teardown_ways),
	};

	return STAGE_RUN(tests);
}
