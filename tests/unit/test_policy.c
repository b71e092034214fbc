/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The text of a site policy, and what it says about the run: who, when, how long, which faults and
 * programs.
 */
#include "tests/support/policy_text.h"

#include "injector/base/clock.h"

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

static void test_bad_policies_are_refused_with_their_place(void **state)
{
	static const struct {
		const char *text, *expected;
	} bad[] = {
		{"version: 1\nprotect: {files: [etc/nginx]}\n",
		 "policy.yaml:2:19: 'etc/nginx' is no path: it begins with /"},
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
	policy_refused(policy_load(path, &policy, &problems, &err), &err,
		       "only root can have written");
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chmod(folder, 0777), 0);
	policy_refused(policy_load(path, &policy, &problems, &err), &err,
		       "can be written by others");
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
	policy_refused(policy_check_user(policy, 65534, &err), &err,
		       "(uid 65534): refused by the site policy (policy.yaml:2:36, users)");
	assert_int_equal(policy_check_fault(policy, "network", &err), 0);
	policy_refused(policy_check_fault(policy, "process", &err), &err,
		       "fault 'process': refused by the site policy (policy.yaml:2:18, faults)");
	assert_int_equal(policy_check_limits(policy, 30 * MINUTE, &err), 0);
	policy_refused(policy_check_limits(policy, 31 * MINUTE, &err), &err, "at most 30m");
	assert_int_equal(policy_check_reach(policy, 5, &err), 0);
	policy_refused(policy_check_reach(policy, 6, &err), &err, "6 targets are selected");
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
	policy_refused(policy_check_time(policy, FRIDAY_NOON, 4 * HOUR + MINUTE, &err), &err,
		       "would not be over");
	assert_non_null(strstr(err.remedy, "closes at Fri 2026-11-27 16:00 UTC"));
	policy_refused(policy_check_time(policy, FRIDAY_NOON + 5 * HOUR, HOUR, &err), &err,
		       "outside the windows");
	assert_non_null(strstr(err.remedy, "opens at Sat 2026-11-28 10:00 UTC"));
	assert_int_equal(policy_check_time(policy, FRIDAY_NOON + 22 * HOUR, HOUR, &err), 0);
	policy_refused(policy_check_time(policy, FRIDAY_NOON + 72 * HOUR, HOUR, &err), &err,
		       "no experiments on 2026-11-30");
	policy_free(policy);
}

static void check_days(const char *rules, int64_t from_ns, int64_t duration_ns, const char *refusal)
{
	struct policy *policy = policy_of(rules);
	struct error err = ERROR_INIT;
	int result = policy_check_time(policy, from_ns, duration_ns, &err);

	if (refusal)
		policy_refused(result, &err, refusal);
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

static void test_commands_by_path(void **state)
{
	struct error err = ERROR_INIT;
	struct policy *policy = policy_of("version: 1\nallow: {commands: [\"/usr/sbin/ngin?\"]}\n");

	(void)state;
	assert_int_equal(policy_check_command(NULL, "/bin/anything", &err), 0);
	assert_int_equal(policy_check_command(policy, "/usr/sbin/nginx", &err), 0);
	policy_refused(policy_check_command(policy, "/tmp/nginx", &err), &err,
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
		cmocka_unit_test(test_commands_by_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
