/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a site policy says about targets: addresses, interfaces, processes, units, files.
 */
#include "tests/support/fake_proc.h"
#include "tests/support/policy_text.h"

#include "faults/fault.h"
#include "injector/base/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct target traffic(const char *to)
{
	struct target target = {.kind = TARGET_TRAFFIC, .namespace_fd = -1};
	struct error err = ERROR_INIT;

	assert_int_equal(params_init(&target.params, traffic_params, &err), 0);
	if (to)
		assert_int_equal(params_add(&target.params, TRAFFIC_TO, to, 1, 1, &err), 0);
	target.interfaces = calloc(1, sizeof(*target.interfaces));
	assert_non_null(target.interfaces);
	target.interface_count = 1;
	snprintf(target.interfaces[0].name, sizeof(target.interfaces[0].name), "eth0");
	return target;
}

static void check_traffic(const struct policy *policy, const char *to, const char *refusal)
{
	struct target target = traffic(to);
	struct error err = ERROR_INIT;
	int result = policy_check_target(policy, &target, &err);

	if (refusal)
		policy_refused(result, &err, refusal);
	else if (result < 0)
		fail_msg("%s: %s", to, err.text);
	target_free(&target);
}

/* Whose traffic is met is touched as well: here this process itself, as that of a container. */
static void test_whose_traffic_it_is_is_asked_like_processes(void **state)
{
	struct policy *policy = policy_of("version: 1\n"
					  "protect: {processes: [\"test_policy*\"]}\n");
	struct target target = traffic("10.1.2.3:80");
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(policy_check_target(policy, &target, &err), 0);
	target.container_pids = calloc(2, sizeof(*target.container_pids));
	assert_non_null(target.container_pids);
	target.container_pids[0] = 1 << 30; /* gone */
	target.container_pids[1] = getpid();
	target.container_count = 2;
	policy_refused(policy_check_target(policy, &target, &err), &err, "is protected");
	target_free(&target);
	policy_free(policy);
}

static void test_addresses_must_be_inside_what_is_allowed(void **state)
{
	struct policy *policy = policy_of("version: 1\n"
					  "allow: {networks: [10.0.0.0/8, 192.0.2.1:443, "
					  "\"2001:db8::/32\"]}\n"
					  "protect: {addresses: [10.0.0.53:53, 10.9.0.0/16]}\n");

	(void)state;
	check_traffic(policy, "10.1.2.3:80", NULL);
	check_traffic(policy, "10.1.0.0/16", NULL);
	check_traffic(policy, "[2001:db8:1::1]:80", NULL);
	check_traffic(policy, "11.0.0.1", "traffic with 11.0.0.1: refused");
	check_traffic(policy, "0.0.0.0/0", "networks");
	check_traffic(policy, NULL, "traffic with *: refused");
	check_traffic(policy, "2001:db9::1", "networks");
	check_traffic(policy, "192.0.2.1:443", NULL);
	check_traffic(policy, "192.0.2.1", "networks");
	check_traffic(policy, "192.0.2.1:80", "networks");
	check_traffic(policy, "10.0.0.53:80", NULL);
	check_traffic(policy, "10.0.0.53:53", "includes 10.0.0.53:53, which is protected");
	check_traffic(policy, "10.0.0.0/24", "10.0.0.53:53, which is protected");
	check_traffic(policy, "10.9.1.1", "10.9.0.0/16, which is protected");
	policy_free(policy);
	/* all there is, and whole networks, hold what is protected: refused, not left out */
	policy = policy_of("version: 1\nprotect: {addresses: [10.0.0.53:53, \"2001:db8::53\"]}\n");
	check_traffic(policy, NULL, "traffic with * includes 10.0.0.53:53, which is protected");
	check_traffic(policy, "*", "10.0.0.53:53, which is protected");
	check_traffic(policy, "*:53", "10.0.0.53:53, which is protected");
	check_traffic(policy, "*:443", "2001:db8::53, which is protected");
	check_traffic(policy, "0.0.0.0/0", "10.0.0.53:53, which is protected");
	check_traffic(policy, "::/0", "2001:db8::53, which is protected");
	check_traffic(policy, "2001:db8::/32", "2001:db8::53, which is protected");
	check_traffic(policy, "0.0.0.0/0:443", NULL);
	policy_free(policy);
}

static void check_local(const struct policy *policy, const char *local, const char *port,
			const char *refusal)
{
	struct target target = traffic("10.1.2.3:80");
	struct error err = ERROR_INIT;
	int result;

	assert_int_equal(params_add(&target.params, TRAFFIC_LOCAL_ADDRESS, local, 1, 1, &err), 0);
	if (port)
		assert_int_equal(params_add(&target.params, TRAFFIC_LOCAL_PORT, port, 1, 1, &err),
				 0);
	result = policy_check_target(policy, &target, &err);
	if (refusal)
		policy_refused(result, &err, refusal);
	else if (result < 0)
		fail_msg("%s: %s", local, err.text);
	target_free(&target);
}

/* Who names a protected address as his own means it. */
static void test_addresses_of_this_side_must_not_be_protected(void **state)
{
	struct policy *policy = policy_of("version: 1\n"
					  "allow: {networks: [10.1.0.0/16]}\n"
					  "protect: {addresses: [10.9.0.1, 10.9.0.2:22, "
					  "\"*:53\", \"2001:db8::/32\"]}\n");

	(void)state;
	check_local(policy, "192.0.2.1", NULL, NULL); /* what is allowed is the far side */
	check_local(policy, "10.9.0.3", NULL, NULL);
	check_local(policy, "10.9.0.3", "53", NULL); /* and so is a port of everybody */
	check_local(policy, "10.9.0.1", NULL,
		    "traffic of local-address 10.9.0.1 includes 10.9.0.1, which is protected");
	check_local(policy, "10.9.0.0/31", "80", "includes 10.9.0.1, which is protected");
	check_local(policy, "10.9.0.2", NULL, "includes 10.9.0.2:22, which is protected");
	check_local(policy, "10.9.0.2", "20-30", "includes 10.9.0.2:22, which is protected");
	check_local(policy, "10.9.0.2", "80", NULL);
	check_local(policy, "2001:db8:1::1", NULL, "2001:db8::/32, which is protected");
	check_local(policy, "::/0", NULL, "2001:db8::/32, which is protected");
	policy_free(policy);
}

static int check_values(const char *rules, const char *fault, const char *name, const char *value,
			struct error *err)
{
	struct policy *policy = policy_of(rules);
	struct params params;
	int result;

	assert_int_equal(params_init(&params, fault_find(fault)->params, NULL), 0);
	if (name)
		assert_int_equal(params_add(&params, (unsigned)params_find(params.table, name),
					    value, 1, 1, NULL),
				 0);
	result = policy_check_values(policy, &params, err);
	params_free(&params);
	policy_free(policy);
	return result;
}

/* Parameters of the fault itself, which are not the target's. */
static void test_addresses_in_parameters_of_a_fault_are_asked(void **state)
{
	static const char allowed[] = "version: 1\nallow: {networks: [10.0.0.0/8]}\n";
	static const char protected[] = "version: 1\nprotect: {addresses: [10.0.0.53]}\n";
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(check_values("version: 1\n", "connect", NULL, NULL, &err), 0);
	assert_int_equal(check_values(allowed, "connect", "to", "10.1.2.3:80", &err), 0);
	policy_refused(
		check_values(allowed, "connect", "to", "192.0.2.1", &err), &err,
		"traffic with 192.0.2.1: refused by the site policy (policy.yaml:2:20, networks)");
	policy_refused(check_values(allowed, "connect", NULL, NULL, &err), &err, "traffic with *");
	policy_refused(check_values(protected, "connect", "to", "10.0.0.53:53", &err), &err,
		       "10.0.0.53, which is protected");
	policy_refused(check_values(protected, "connect", NULL, NULL, &err), &err, "is protected");
	/* what is left out is not touched, and does not make the rest allowed */
	policy_refused(check_values(protected, "connect", "except", "10.0.0.53", &err), &err,
		       "is protected");
	/* clients are sent to the addresses of a wrong answer */
	policy_refused(check_values(protected, "dns", "address", "10.0.0.53", &err), &err,
		       "10.0.0.53, which is protected");
	assert_int_equal(check_values(protected, "dns", "address", "10.0.0.54", &err), 0);
	assert_int_equal(check_values(protected, "dns", NULL, NULL, &err), 0);
}

/* A parameter that a fault gets some day is asked about without anybody thinking of it. */
static void test_no_endpoint_of_any_fault_is_forgotten(void **state)
{
	static const char rules[] = "version: 1\nprotect: {addresses: [10.0.0.53]}\n";
	unsigned asked = 0;

	(void)state;
	for (const struct fault_ops *const *ops = fault_all(); *ops; ops++)
		for (const struct param *param = (*ops)->params; param->name; param++) {
			struct error err = ERROR_INIT;

			if (param->type != PARAM_ENDPOINT || strcmp(param->name, "except") == 0)
				continue;
			policy_refused(
				check_values(rules, (*ops)->name, param->name, "10.0.0.0/24", &err),
				&err, "is protected");
			asked++;
		}
	assert_true(asked >= 2);
}

static void test_interfaces_by_pattern(void **state)
{
	struct policy *policy = policy_of("version: 1\nallow: {interfaces: [lo, \"eth*\"]}\n");
	struct policy *other = policy_of("version: 1\nallow: {interfaces: [\"veth*\"]}\n");

	(void)state;
	check_traffic(policy, "10.0.0.1", NULL);
	check_traffic(other, "10.0.0.1", "interface eth0: refused");
	policy_free(policy);
	policy_free(other);
}

static int check_self(const char *text, unsigned matches, struct error *err)
{
	struct policy *policy = policy_of(text);
	struct target_process self = {.id = {.pid = getpid()}, .pidfd = -1, .name = "test_policy"};
	struct target target = {.kind = TARGET_PROCESS,
				.processes = &self,
				.process_count = 1,
				.match_count = matches};
	int result = policy_check_target(policy, &target, err);

	policy_free(policy);
	return result;
}

static void test_processes_by_name_unit_and_share(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(check_self("version: 1\n", 1, &err), 0);
	policy_refused(check_self("version: 1\nprotect: {processes: [\"test_pol*\"]}", 1, &err),
		       &err,
		       "(test_policy) is protected: refused by the site policy (policy.yaml:2:23");
	policy_refused(check_self("version: 1\nprotect: {processes: [\"/*/test_policy_targets\"]}",
				  1, &err),
		       &err, "is protected");
	policy_refused(check_self("version: 1\nallow: {units: [nothing-of-ours.service]}", 1, &err),
		       &err, "refused by the site policy (policy.yaml:2:17, units)");
	assert_int_equal(check_self("version: 1\nlimits: {share: 50%}", 2, &err), 0);
	policy_refused(check_self("version: 1\nlimits: {share: 50%}", 1, &err), &err,
		       "1 of 1 processes that match are chosen, at most 50% are allowed");
}

static int check_unit(const char *rules, const char *asked, const char *unit, struct error *err)
{
	struct policy *policy = policy_of(rules);
	int result = policy_check_unit(policy, asked, unit, err);

	policy_free(policy);
	return result;
}

/* A unit can have more than one name: what is protected is so by each, what is allowed by its own.
 */
static void test_units_that_are_reloaded(void **state)
{
	static const char protected[] = "version: 1\nprotect: {units: [\"vault*.service\"]}\n";
	static const char allowed[] = "version: 1\nallow: {units: [\"orders*\"]}\n";
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(policy_check_unit(NULL, "a.service", "a.service", &err), 0);
	assert_int_equal(check_unit(protected, "nginx.service", "nginx.service", &err), 0);
	policy_refused(
		check_unit(protected, "vault.service", "vault.service", &err), &err,
		"unit vault.service is protected: refused by the site policy (policy.yaml:2:19, "
		"units)");
	policy_refused(check_unit(protected, "alias.service", "vault-1.service", &err), &err,
		       "unit vault-1.service is protected");
	policy_refused(check_unit(protected, "vault.service", "real.service", &err), &err,
		       "unit real.service is protected");
	assert_int_equal(check_unit(allowed, "orders", "orders.service", &err), 0);
	policy_refused(check_unit(allowed, "orders-alias.service", "nginx.service", &err), &err,
		       "unit nginx.service: refused by the site policy (policy.yaml:2:17, units)");
}

/* --- whose process it is: by the path of its control group --- */

#define USERS  "0::/user.slice/user-1000.slice/user@1000.service/app.slice/"
#define SYSTEM "0::/system.slice/"

/* A process with that path (NULL: none that can be read) under these rules. */
static void check_place(const char *rules, const char *cgroup, const char *refusal)
{
	const struct fake_process process = {.pid = FAKE_PID, .comm = "one", .cgroup = cgroup};
	struct policy *policy = policy_of(rules);
	struct error err = ERROR_INIT;
	int result;

	fake_proc_add(&process);
	if (!cgroup) {
		char long_line[5000];

		memset(long_line, 'x', sizeof(long_line));
		memcpy(long_line, "0::/", 4);
		fake_proc_write("4190000/cgroup", long_line, sizeof(long_line));
	}
	result = policy_check_pid(policy, FAKE_PID, &err);
	if (refusal)
		policy_refused(result, &err, refusal);
	else if (result < 0)
		fail_msg("%s: %s", cgroup, err.text);
	fake_proc_remove(FAKE_PID);
	policy_free(policy);
}

/* A name that a user, or whoever a control group is delegated to, can choose allows nothing. */
static void test_a_process_is_allowed_by_the_unit_of_the_system_alone(void **state)
{
	static const char rules[] = "version: 1\nallow: {units: [\"nginx*.service\", run.scope]}\n";

	(void)state;
	check_place(rules, SYSTEM "nginx.service\n", NULL);
	check_place(rules, SYSTEM "system-nginx.slice/nginx@1.service/worker\n", NULL);
	check_place(rules, SYSTEM "_nginx.service\n", NULL); /* cg_escape() */
	check_place(rules, "0::/run.scope\n", NULL);
	check_place(rules, "12:pids:/x\n1:name=systemd:/system.slice/nginx.service\n0::/\n", NULL);
	/* what is inside belongs to it, whatever its name is */
	check_place(rules, SYSTEM "nginx.service/other.service\n", NULL);
	check_place(rules, USERS "nginx.service\n", "of unit user@1000.service: refused");
	check_place(rules, "0::/user.slice/user-1000.slice/session-3.scope/nginx.service\n",
		    "of unit session-3.scope: refused");
	check_place(rules, SYSTEM "docker-0a1b.scope/system.slice/nginx.service\n",
		    "of unit docker-0a1b.scope: refused");
	check_place(rules, SYSTEM "other.service/nginx.service\n", "of unit other.service");
	/* without systemd's hand there is no unit, and neither outside of our cgroup namespace */
	check_place(rules, "0::/docker/0a1b/system.slice/nginx.service\n", "of no unit: refused");
	check_place(rules, "0::/lxc.payload/nginx.service\n", "of no unit: refused");
	check_place(rules, "0::/../nginx.service\n", "of no unit: refused");
	check_place(rules, "0::/../../system.slice/nginx.service\n", "of no unit: refused");
	check_place(rules, "0::/nginx.service.d\n", "of no unit: refused");
	check_place(rules, "0::/system.slice\n", "of no unit: refused");
	check_place(rules, "0::/\n", "of no unit: refused");
	check_place(rules, "", "of no unit: refused");
	check_place(rules, NULL, "of no unit: refused");
}

static void test_a_process_is_protected_by_each_unit_around_it(void **state)
{
	static const char rules[] = "version: 1\nprotect: {units: [vault.service]}\n";
	static const char refusal[] = "process 4190000 (one) is protected: refused";

	(void)state;
	check_place(rules, SYSTEM "vault.service\n", refusal);
	check_place(rules, SYSTEM "vault.service/inner.scope\n", refusal);
	check_place(rules, SYSTEM "_vault.service\n", refusal);
	check_place(rules, USERS "vault.service\n", refusal);
	check_place(rules, USERS "vault.service/inner.scope/deeper\n", refusal);
	check_place(rules, "0::/docker/0a1b/system.slice/vault.service\n", refusal);
	check_place(rules, "0::/../vault.service\n", refusal);
	check_place(rules, "1:name=systemd:/system.slice/vault.service\n0::/\n", refusal);
	check_place(rules, NULL, refusal); /* it may be */
	check_place(rules, SYSTEM "other.service\n", NULL);
	check_place(rules, "0::/vault.service.d/vault\n", NULL);
	check_place(rules, "", NULL);
	check_place("version: 1\nprotect: {processes: [other]}\n", NULL, NULL);
}

/* Who is asked about when a unit is reloaded: not whoever has called a unit of his own like it. */
static void test_processes_of_a_namesake_do_not_keep_a_unit_from_its_reload(void **state)
{
	static const char rules[] = "version: 1\nprotect: {processes: [guard]}\n";
	struct fake_process process = {.pid = FAKE_PID, .comm = "guard"};
	struct error err = ERROR_INIT;

	(void)state;
	process.cgroup = USERS "nginx.service\n";
	fake_proc_add(&process);
	assert_int_equal(check_unit(rules, "nginx", "nginx.service", &err), 0);
	process.cgroup = "0::/docker/0a1b/system.slice/nginx.service\n";
	fake_proc_add(&process);
	assert_int_equal(check_unit(rules, "nginx", "nginx.service", &err), 0);
	process.cgroup = SYSTEM "nginx.service/inner.scope\n";
	fake_proc_add(&process);
	policy_refused(check_unit(rules, "nginx", "nginx.service", &err), &err,
		       "(guard) is protected");
	fake_proc_remove(FAKE_PID);
}

/* By the path of its program, which may be hidden from who asks. */
static void test_a_process_that_cannot_be_looked_at_counts_as_protected(void **state)
{
	struct policy *policy =
		policy_of("version: 1\nprotect: {processes: [/usr/sbin/haproxy]}\n");
	struct policy *by_name = policy_of("version: 1\nprotect: {processes: [haproxy]}\n");
	struct error err = ERROR_INIT;
	const uid_t before = geteuid();

	(void)state;
	assert_int_equal(policy_check_pid(policy, getpid(), &err), 0);
	if (before == 0)
		assert_int_equal(seteuid(65534), 0); /* pid 1 is nothing to nobody */
	policy_refused(policy_check_pid(policy, 1, &err), &err, "is protected");
	assert_int_equal(policy_check_pid(by_name, 1, &err), 0);
	assert_int_equal(seteuid(before), 0);
	policy_free(policy);
	policy_free(by_name);
}

static int check_path(const char *text, const char *path, struct error *err)
{
	struct policy *policy = policy_of(text);
	struct target target = {.kind = TARGET_FILE, .namespace_fd = -1};
	int result;

	assert_int_equal(params_init(&target.params, file_params, NULL), 0);
	assert_int_equal(params_add(&target.params, FILE_PATH, path, 0, 0, NULL), 0);
	result = policy_check_target(policy, &target, err);
	params_free(&target.params);
	policy_free(policy);
	return result;
}

static void test_files_by_pattern(void **state)
{
	static const char rules[] = "version: 1\nallow: {files: [\"/etc/nginx/*\", /etc/hosts]}\n"
				    "protect: {files: [\"/etc/*/keys/*\"]}\n";
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(check_path("version: 1\n", "/etc/passwd", &err), 0);
	assert_int_equal(check_path(rules, "/etc/nginx/conf.d/site.conf", &err), 0);
	assert_int_equal(check_path(rules, "/etc/hosts", &err), 0);
	policy_refused(
		check_path(rules, "/etc/hosts.allow", &err), &err,
		"file /etc/hosts.allow: refused by the site policy (policy.yaml:2:17, files)");
	policy_refused(check_path(rules, "/etc/nginx/keys/a", &err), &err,
		       "file /etc/nginx/keys/a is protected: refused by the site policy "
		       "(policy.yaml:3:19");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whose_traffic_it_is_is_asked_like_processes),
		cmocka_unit_test(test_addresses_must_be_inside_what_is_allowed),
		cmocka_unit_test(test_addresses_of_this_side_must_not_be_protected),
		cmocka_unit_test(test_addresses_in_parameters_of_a_fault_are_asked),
		cmocka_unit_test(test_no_endpoint_of_any_fault_is_forgotten),
		cmocka_unit_test(test_interfaces_by_pattern),
		cmocka_unit_test(test_processes_by_name_unit_and_share),
		cmocka_unit_test(test_units_that_are_reloaded),
#define FAKED(name) cmocka_unit_test_setup_teardown(name, fake_proc_set_up, fake_proc_tear_down)
		FAKED(test_a_process_is_allowed_by_the_unit_of_the_system_alone),
		FAKED(test_a_process_is_protected_by_each_unit_around_it),
		FAKED(test_processes_of_a_namesake_do_not_keep_a_unit_from_its_reload),
		cmocka_unit_test(test_a_process_that_cannot_be_looked_at_counts_as_protected),
		cmocka_unit_test(test_files_by_pattern),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
