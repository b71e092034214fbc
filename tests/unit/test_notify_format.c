/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `notify` in an experiment and in the site's file: what is understood, what is refused where, and
 * that an address is not shown.
 */
#include "injector/experiment/format.h"
#include "injector/experiment/yaml.h"
#include "injector/policy/site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD                                                                                       \
	"version: 1\ntitle: x\nlimits: {duration: 10s, targets: 1}\n"                              \
	"targets: {t: {to: 10.0.0.1}}\n"                                                           \
	"method: [{at: 0s, for: 1s, network: {target: t, delay: 1ms}}]\nnotify:\n"

static struct experiment *read_good(const char *notify)
{
	struct yaml_problems problems = {0};
	struct experiment *experiment = NULL;
	struct error err = ERROR_INIT;
	char text[2000];

	snprintf(text, sizeof(text), HEAD "%s", notify);
	if (yaml_parse_experiment(text, strlen(text), "x.yaml", &experiment, &problems, &err) < 0)
		fail_msg("%s", err.text);
	return experiment;
}

static void assert_refused(const char *notify, const char *why)
{
	struct yaml_problems problems = {0};
	struct experiment *experiment = NULL;
	struct error err = ERROR_INIT;
	char text[2000];

	snprintf(text, sizeof(text), HEAD "%s", notify);
	assert_int_not_equal(
		yaml_parse_experiment(text, strlen(text), "x.yaml", &experiment, &problems, &err),
		0);
	assert_int_equal(problems.count, 1);
	if (!strstr(problems.list[0].text, why))
		fail_msg("'%s' is not said by: %s", why, problems.list[0].text);
	assert_int_equal(problems.list[0].line, 7);
	if (strstr(problems.list[0].text, "s3cret"))
		fail_msg("shown: %s", problems.list[0].text);
	yaml_problems_free(&problems);
}

static void test_what_is_not_said_has_a_default(void **state)
{
	struct experiment *experiment =
		read_good("  - {webhook: \"https://hooks.example.org/a\"}\n"
			  "  - {command: [/bin/true, now], on: verdict, timeout: 1s}\n"
			  "  - {syslog: warning, on: [started, ended]}\n");
	const struct experiment_notification *list = experiment->notifications;

	(void)state;
	assert_int_equal(experiment->notification_count, 3);
	assert_int_equal(list[0].kind, NOTIFY_WEBHOOK);
	assert_int_equal(list[0].moments, 1 << NOTIFY_INJECTED | 1 << NOTIFY_ABORTED |
						  1 << NOTIFY_RESTORED | 1 << NOTIFY_VERDICT);
	assert_int_equal(list[1].kind, NOTIFY_COMMAND);
	assert_int_equal(list[1].moments, 1 << NOTIFY_VERDICT);
	assert_int_equal(params_count(&list[1].params, NOTIFY_PARAM_COMMAND), 2);
	assert_int_equal(list[2].kind, NOTIFY_SYSLOG);
	experiment_free(experiment);
	free(experiment);
}

static void test_mistakes_are_told_without_the_address(void **state)
{
	(void)state;
	assert_refused("  - {webhook: \"ftp://s3cret.example.org/\"}\n", "https://HOST/PATH");
	assert_refused("  - {webhook: \"https://user:s3cret@example.org/\"}\n", "not shown");
	assert_refused("  - {on: [aborted]}\n", "webhook, command, syslog");
	assert_refused("  - {syslog: notice, command: [/bin/true]}\n", "goes one way");
	assert_refused("  - {syslog: loud}\n", "notice");
	assert_refused("  - {syslog: notice, on: [finished]}\n", "verdict");
	assert_refused("  - {syslog: notice, format: slack}\n", "is for a webhook");
	assert_refused("  - {command: \"mail root\"}\n", "list of words");
	assert_refused("  - {webhok: \"https://s3cret.example.org/\"}\n", "webhook");
}

static void test_a_site_has_its_own(void **state)
{
	static const char good[] = "version: 1\nmetrics: /var/lib/x/squall.prom\n"
				   "notify: [{syslog: notice}, {command: [/bin/true]}]\n";
	static const char *const bad[][2] = {
		{"version: 1\nnotify: [{command: [true]}]\n", "absolute path"},
		{"version: 1\nnotfy: []\n", "did you mean 'notify'"},
		{"notify: []\n", "version"},
		{"version: 1\nmetrics: here\n", "absolute"},
	};
	struct experiment *experiment = read_good("  - {syslog: info}\n");
	struct error err = ERROR_INIT;
	struct site site;

	(void)state;
	assert_int_equal(site_parse(good, strlen(good), "site.yaml", &site, &err), 0);
	assert_int_equal(site.notification_count, 2);
	assert_string_equal(site.metrics, "/var/lib/x/squall.prom");
	assert_int_equal(site_apply(&site, experiment, &err), 0);
	assert_int_equal(experiment->notification_count, 3);
	assert_int_equal(experiment->notifications[2].kind, NOTIFY_COMMAND);
	site_free(&site);
	experiment_free(experiment);
	free(experiment);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		err = (struct error)ERROR_INIT;
		assert_int_not_equal(
			site_parse(bad[i][0], strlen(bad[i][0]), "site.yaml", &site, &err), 0);
		if (!strstr(err.text, bad[i][1]))
			fail_msg("'%s' is not said by: %s", bad[i][1], err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_not_said_has_a_default),
		cmocka_unit_test(test_mistakes_are_told_without_the_address),
		cmocka_unit_test(test_a_site_has_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
