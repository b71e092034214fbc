/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/policy/policy.h"

#include "faults/fault.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define FRIDAY_NOON (1795780800 * NSEC_PER_SEC) /* 2026-11-27 12:00 UTC */
#define MINUTE	    (60 * NSEC_PER_SEC)
#define HOUR	    (60 * MINUTE)

static struct policy *policy_of(const char *text)
{
	struct yaml_problems problems;
	struct policy *policy = NULL;
	struct error err = ERROR_INIT;

	if (policy_parse(text, strlen(text), "policy.yaml", &policy, &problems, &err) < 0)
		fail_msg("%s", err.text);
	return policy;
}

static void refused(int result, const struct error *err, const char *expected)
{
	assert_true(result < 0);
	if (!strstr(err->text, expected))
		fail_msg("'%s' does not say '%s'", err->text, expected);
}

static void test_bad_policies_are_refused_with_their_place(void **state)
{
	static const struct {
		const char *text, *expected;
	} bad[] = {
		{"allow: {faults: [network]}", "policy.yaml:1:1: 'version' is missing"},
		{"version: 2", "policy.yaml:1:10: "},
		{"version: 1\nalow: {}", "policy.yaml:2:1: unknown key 'alow' in a policy; did you "
					 "mean 'allow'?"},
		{"version: 1\nallow: {fault: [network]}", "policy.yaml:2:9: unknown key 'fault' in "
							  "allow; did you mean 'faults'?"},
		{"version: 1\nallow: {faults: [netwerk]}",
		 "policy.yaml:2:18: there is no fault 'netwerk'; did you mean 'network'?"},
		{"version: 1\nallow: {networks: [db.internal]}", "needs addresses"},
		{"version: 1\nlimits: {duration: 30}", "policy.yaml:2:20: "},
		{"version: 1\nlimits: {share: 120%}", "policy.yaml:2:17: "},
		{"version: 1\nwindows: [9-17]", "policy.yaml:2:11: '9-17' is no window of time"},
		{"version: 1\nwindows: [\"09:00-17:00 Moon/Sea\"]", "no time zone 'Moon/Sea'"},
		{"version: 1\nblackout: [christmas]", "policy.yaml:2:12: 'christmas' is no date"},
		{"version: 1\nblackout: [2026-12-24 Moon/Sea]", "no time zone 'Moon/Sea'"},
		{"version: 1\naudit: maybe", "policy.yaml:2:8: "},
		{"version: 1\nallow: [network]", "allow must be a mapping"},
		{"version: 1\nversion: 1", "policy.yaml:2:1: "},
		{"- 1", "a policy must be a mapping"},
		{"", "the file is empty"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct yaml_problems problems;
		struct policy *policy = NULL;
		struct error err = ERROR_INIT;

		if (policy_parse(bad[i].text, strlen(bad[i].text), "policy.yaml", &policy,
				 &problems, &err) == 0)
			fail_msg("accepted: %s", bad[i].text);
		if (!strstr(err.text, bad[i].expected))
			fail_msg("'%s' does not say '%s'", err.text, bad[i].expected);
		assert_null(policy);
		yaml_problems_free(&problems);
	}
}

static void test_all_problems_come_at_once(void **state)
{
	static const char text[] = "version: 1\nalow: {}\nlimits: {targets: many}\nwindows: [x]\n";
	struct yaml_problems problems;
	struct policy *policy = NULL;
	struct error err = ERROR_INIT;

	(void)state;
	assert_true(policy_parse(text, strlen(text), "p", &policy, &problems, &err) < 0);
	assert_int_equal(problems.count, 3);
	yaml_problems_free(&problems);
}

static void test_no_policy_allows_everything(void **state)
{
	struct yaml_problems problems;
	struct policy *policy = NULL;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(
		policy_load("/etc/squall-is-not-here/policy.yaml", &policy, &problems, &err), 0);
	assert_null(policy);
	assert_int_equal(policy_check_user(NULL, 1000, &err), 0);
	assert_int_equal(policy_check_time(NULL, FRIDAY_NOON, HOUR, &err), 0);
	assert_int_equal(policy_check_fault(NULL, "process", &err), 0);
	assert_int_equal(policy_check_limits(NULL, HOUR, &err), 0);
	assert_int_equal(policy_check_reach(NULL, 1000, &err), 0);
	assert_false(policy_needs_audit(NULL));
}

/* Only root can have written it: anybody's file would be anybody's rule, in either direction. */
static void test_a_file_that_others_can_write_is_not_trusted(void **state)
{
	char folder[] = "/tmp/squall-policy.XXXXXX", path[64];
	struct yaml_problems problems;
	struct policy *policy = NULL;
	struct error err = ERROR_INIT;
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/policy.yaml", folder);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("version: 1\n", file);
	fclose(file);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(policy_load(path, &policy, &problems, &err), 0);
	assert_non_null(policy);
	policy_free(policy);
	policy = NULL;
	assert_int_equal(chmod(path, 0666), 0);
	refused(policy_load(path, &policy, &problems, &err), &err, "only root can have written");
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chmod(folder, 0777), 0);
	refused(policy_load(path, &policy, &problems, &err), &err, "can be written by others");
	assert_null(policy);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void test_users_faults_and_limits(void **state)
{
	struct policy *policy = policy_of("version: 1\n"
					  "allow: {faults: [network], users: [daemon, \"%root\"]}\n"
					  "limits: {duration: 30m, targets: 5}\n"
					  "audit: required\n");
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(policy_check_user(policy, 0, &err), 0);
	assert_int_equal(policy_check_user(policy, 1, &err), 0);
	refused(policy_check_user(policy, 65534, &err), &err,
		"(uid 65534): refused by the site policy (policy.yaml:2:36, users)");
	assert_int_equal(policy_check_fault(policy, "network", &err), 0);
	refused(policy_check_fault(policy, "process", &err), &err,
		"fault 'process': refused by the site policy (policy.yaml:2:18, faults)");
	assert_int_equal(policy_check_limits(policy, 30 * MINUTE, &err), 0);
	refused(policy_check_limits(policy, 31 * MINUTE, &err), &err, "at most 30m");
	assert_int_equal(policy_check_reach(policy, 5, &err), 0);
	refused(policy_check_reach(policy, 6, &err), &err, "6 targets are selected");
	assert_true(policy_needs_audit(policy));
	policy_free(policy);
}

static void test_the_whole_run_must_fit_into_a_window(void **state)
{
	struct policy *policy =
		policy_of("version: 1\n"
			  "windows: [Mon-Fri 09:00-16:00 UTC, Sat 10:00-11:00 UTC]\n"
			  "blackout: [2026-12-24..2027-01-02, 2026-11-30]\n");
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(policy_check_time(policy, FRIDAY_NOON, 4 * HOUR, &err), 0);
	refused(policy_check_time(policy, FRIDAY_NOON, 4 * HOUR + MINUTE, &err), &err,
		"would not be over");
	assert_non_null(strstr(err.remedy, "closes at Fri 2026-11-27 16:00 UTC"));
	refused(policy_check_time(policy, FRIDAY_NOON + 5 * HOUR, HOUR, &err), &err,
		"outside the windows");
	assert_non_null(strstr(err.remedy, "opens at Sat 2026-11-28 10:00 UTC"));
	assert_int_equal(policy_check_time(policy, FRIDAY_NOON + 22 * HOUR, HOUR, &err), 0);
	refused(policy_check_time(policy, FRIDAY_NOON + 72 * HOUR, HOUR, &err), &err,
		"no experiments on 2026-11-30");
	policy_free(policy);
}

static void check_days(const char *rules, int64_t from_ns, int64_t duration_ns, const char *refusal)
{
	struct policy *policy = policy_of(rules);
	struct error err = ERROR_INIT;
	int result = policy_check_time(policy, from_ns, duration_ns, &err);

	if (refusal)
		refused(result, &err, refusal);
	else if (result < 0)
		fail_msg("%s: %s", rules, err.text);
	policy_free(policy);
}

/* On a Friday at noon, UTC, it is Saturday in Kiritimati (+14) and 2 in the night in Honolulu. */
static void test_days_off_begin_and_end_where_they_are_written_for(void **state)
{
	static const char day_off[] = "no experiments on 2026-11-28";

	(void)state;
	check_days("version: 1\nblackout: [2026-11-28 Pacific/Kiritimati]", FRIDAY_NOON, HOUR,
		   day_off);
	check_days("version: 1\nblackout: [2026-11-28 Pacific/Kiritimati]",
		   FRIDAY_NOON - 2 * HOUR - MINUTE, 2 * MINUTE, day_off);
	check_days("version: 1\nblackout: [2026-11-28 Pacific/Kiritimati]",
		   FRIDAY_NOON - 2 * HOUR - MINUTE, MINUTE / 2, NULL);
	check_days("version: 1\nblackout: [2026-11-27..2026-11-27 Pacific/Kiritimati]", FRIDAY_NOON,
		   HOUR, NULL);
	/* the 26th of Honolulu lasts until ten in the morning */
	check_days("version: 1\nblackout: [2026-11-26 Pacific/Honolulu]",
		   FRIDAY_NOON - 2 * HOUR - MINUTE, HOUR, "no experiments on 2026-11-26");
	check_days("version: 1\nblackout: [2026-11-26 Pacific/Honolulu]", FRIDAY_NOON - 2 * HOUR,
		   HOUR, NULL);
	/* its own zone counts, whatever those of the windows are */
	check_days("version: 1\nwindows: [\"00:00-24:00 UTC\"]\n"
		   "blackout: [2026-11-28 Pacific/Kiritimati]",
		   FRIDAY_NOON, HOUR, day_off);
	check_days("version: 1\nwindows: [\"00:00-24:00 Pacific/Kiritimati\"]\n"
		   "blackout: [2026-11-28 UTC]",
		   FRIDAY_NOON, HOUR, NULL);
	/* without one: the windows', and not only of the first */
	check_days(
		"version: 1\nwindows: [\"00:00-24:00 UTC\", \"00:00-24:00 Pacific/Kiritimati\"]\n"
		"blackout: [2026-11-28]",
		FRIDAY_NOON, HOUR, day_off);
	check_days("version: 1\nwindows: [\"00:00-24:00 UTC\"]\nblackout: [2026-11-28]",
		   FRIDAY_NOON, HOUR, NULL);
}

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
		refused(result, &err, refusal);
	else if (result < 0)
		fail_msg("%s: %s", to, err.text);
	target_free(&target);
}

/* Whose traffic is met is touched as well: here this process itself, as that of a container. */
static void test_whose_traffic_it_is_is_asked_like_processes(void **state)
{
	struct policy *policy = policy_of("version: 1\n"
					  "protect: {processes: [test_policy]}\n");
	struct target target = traffic("10.1.2.3:80");
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(policy_check_target(policy, &target, &err), 0);
	target.container_pid = getpid();
	refused(policy_check_target(policy, &target, &err), &err, "is protected");
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
	refused(check_values(allowed, "connect", "to", "192.0.2.1", &err), &err,
		"traffic with 192.0.2.1: refused by the site policy (policy.yaml:2:20, networks)");
	refused(check_values(allowed, "connect", NULL, NULL, &err), &err, "traffic with *");
	refused(check_values(protected, "connect", "to", "10.0.0.53:53", &err), &err,
		"10.0.0.53, which is protected");
	refused(check_values(protected, "connect", NULL, NULL, &err), &err, "is protected");
	/* what is left out is not touched, and does not make the rest allowed */
	refused(check_values(protected, "connect", "except", "10.0.0.53", &err), &err,
		"is protected");
	/* clients are sent to the addresses of a wrong answer */
	refused(check_values(protected, "dns", "address", "10.0.0.53", &err), &err,
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
			refused(check_values(rules, (*ops)->name, param->name, "10.0.0.0/24", &err),
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
	refused(check_self("version: 1\nprotect: {processes: [\"test_pol*\"]}", 1, &err), &err,
		"(test_policy) is protected: refused by the site policy (policy.yaml:2:23");
	refused(check_self("version: 1\nprotect: {processes: [\"/*/test_policy\"]}", 1, &err), &err,
		"is protected");
	refused(check_self("version: 1\nallow: {units: [nothing-of-ours.service]}", 1, &err), &err,
		"refused by the site policy (policy.yaml:2:17, units)");
	assert_int_equal(check_self("version: 1\nlimits: {share: 50%}", 2, &err), 0);
	refused(check_self("version: 1\nlimits: {share: 50%}", 1, &err), &err,
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
	refused(check_unit(protected, "vault.service", "vault.service", &err), &err,
		"unit vault.service is protected: refused by the site policy (policy.yaml:2:19, "
		"units)");
	refused(check_unit(protected, "alias.service", "vault-1.service", &err), &err,
		"unit vault-1.service is protected");
	refused(check_unit(protected, "vault.service", "real.service", &err), &err,
		"unit real.service is protected");
	assert_int_equal(check_unit(allowed, "orders", "orders.service", &err), 0);
	refused(check_unit(allowed, "orders-alias.service", "nginx.service", &err), &err,
		"unit nginx.service: refused by the site policy (policy.yaml:2:17, units)");
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
	refused(policy_check_pid(policy, 1, &err), &err, "is protected");
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

static void test_commands_by_path(void **state)
{
	struct error err = ERROR_INIT;
	struct policy *policy = policy_of("version: 1\nallow: {commands: [\"/usr/sbin/ngin?\"]}\n");

	(void)state;
	assert_int_equal(policy_check_command(NULL, "/bin/anything", &err), 0);
	assert_int_equal(policy_check_command(policy, "/usr/sbin/nginx", &err), 0);
	refused(policy_check_command(policy, "/tmp/nginx", &err), &err,
		"reload-command /tmp/nginx: refused by the site policy (policy.yaml:2:20, "
		"commands)");
	policy_free(policy);
	policy = policy_of("version: 1\nallow: {commands: [none]}\n");
	assert_true(policy_check_command(policy, "/usr/sbin/nginx", &err) < 0);
	policy_free(policy);
	policy = policy_of("version: 1\nallow: {faults: [file]}\n");
	assert_int_equal(policy_check_command(policy, "/usr/sbin/nginx", &err), 0);
	policy_free(policy);
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
	refused(check_path(rules, "/etc/hosts.allow", &err), &err,
		"file /etc/hosts.allow: refused by the site policy (policy.yaml:2:17, files)");
	refused(check_path(rules, "/etc/nginx/keys/a", &err), &err,
		"file /etc/nginx/keys/a is protected: refused by the site policy "
		"(policy.yaml:3:19");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_policies_are_refused_with_their_place),
		cmocka_unit_test(test_all_problems_come_at_once),
		cmocka_unit_test(test_no_policy_allows_everything),
		cmocka_unit_test(test_a_file_that_others_can_write_is_not_trusted),
		cmocka_unit_test(test_users_faults_and_limits),
		cmocka_unit_test(test_the_whole_run_must_fit_into_a_window),
		cmocka_unit_test(test_days_off_begin_and_end_where_they_are_written_for),
		cmocka_unit_test(test_whose_traffic_it_is_is_asked_like_processes),
		cmocka_unit_test(test_addresses_must_be_inside_what_is_allowed),
		cmocka_unit_test(test_addresses_in_parameters_of_a_fault_are_asked),
		cmocka_unit_test(test_no_endpoint_of_any_fault_is_forgotten),
		cmocka_unit_test(test_interfaces_by_pattern),
		cmocka_unit_test(test_processes_by_name_unit_and_share),
		cmocka_unit_test(test_units_that_are_reloaded),
		cmocka_unit_test(test_a_process_that_cannot_be_looked_at_counts_as_protected),
		cmocka_unit_test(test_files_by_pattern),
		cmocka_unit_test(test_commands_by_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
