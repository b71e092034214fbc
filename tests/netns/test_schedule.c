/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall schedule: units that systemd itself finds sound, hostile values that stay values, and
 * nothing of anybody else's listed, replaced or removed. */
#include "injector/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/root/squall-schedule-XXXXXX";
static char squall[4096];

/* Output and exit code of a shell line in which $SQUALL is the program and $D the folder. */
static int run(char **out_text, const char *line)
{
	char *text = NULL;
	size_t size, got;
	char part[4096];
	FILE *out = open_memstream(&text, &size), *pipe;
	int status;

	pipe = popen(line, "r");
	assert_non_null(pipe);
	while ((got = fread(part, 1, sizeof(part), pipe)) > 0)
		fwrite(part, 1, got, out);
	status = pclose(pipe);
	fclose(out);
	if (out_text)
		*out_text = text;
	else
		free(text);
	return status < 0 ? status : status >> 8;
}

static int set_up(void **state)
{
	char *slash;
	ssize_t length = readlink("/proc/self/exe", squall, sizeof(squall) - 32);

	(void)state;
	assert_true(length > 0);
	squall[length] = '\0';
	for (int i = 0; i < 3; i++) { /* BUILD/tests/netns/test_schedule */
		slash = strrchr(squall, '/');
		*slash = '\0';
	}
	strcat(squall, "/squall");
	assert_non_null(mkdtemp(folder));
	setenv("BUILT", squall, 1);
	setenv("D", folder, 1);
	/* what is built may lie where a user can change it, and is refused there */
	snprintf(squall, sizeof(squall), "%s/squall", folder);
	setenv("SQUALL", squall, 1);
	return run(NULL, "mkdir $D/units && cp experiments/quick-start.yaml $D/ && "
			 "install -o 0 -g 0 -m 755 $BUILT $D/squall");
}

static int tear_down(void **state)
{
	(void)state;
	return run(NULL, "rm -rf $D");
}

static void test_systemd_finds_the_units_sound(void **state)
{
	cleanup_free char *said = NULL, *listed = NULL, *units = NULL;

	(void)state;
	assert_int_equal(run(NULL, "$SQUALL schedule $D/quick-start.yaml --on "
				   "'Mon..Thu *-*-* 10:00 Europe/Berlin' --random-delay 10m "
				   "--directory $D/units"),
			 0);
	assert_int_equal(run(&listed, "$SQUALL schedule --directory $D/units"), 0);
	assert_non_null(strstr(listed, "quick-start "));
	assert_non_null(strstr(listed, "Mon..Thu *-*-* 10:00 Europe/Berlin"));
	assert_int_equal(run(&units, "cat $D/units/*"), 0);
	assert_non_null(strstr(units, "RandomizedDelaySec=10m\n"));
	assert_non_null(strstr(units, "ExecStopPost="));
	if (access("/usr/bin/systemd-analyze", X_OK) < 0) {
		printf("systemd-analyze is not installed (remedy: sudo make setup)\n");
		skip();
	}
	/* it also looks for manual pages, which are not installed here */
	run(&said, "systemd-analyze --man=no verify $D/units/squall-quick-start.timer "
		   "$D/units/squall-quick-start.service 2>&1 | grep squall-");
	if (*said)
		fail_msg("systemd says: %s", said);
	assert_int_equal(run(NULL,
			     "sed -i 's/^OnCalendar=.*/OnCalendar=nonsense/' "
			     "$D/units/squall-quick-start.timer; systemd-analyze --man=no verify "
			     "$D/units/squall-quick-start.timer 2>&1 | grep -q squall-"),
			 0);
}

/* The last line of the audit has all of these. */
static void assert_told(const char *pattern)
{
	char line[512];

	snprintf(line, sizeof(line), "tail -n1 /var/lib/squall/audit.log | grep -q '%s'", pattern);
	if (run(NULL, line) != 0)
		fail_msg("the audit does not end in %s", pattern);
}

/* Units are written for years ahead: who has done so, with which file, and who has not. */
static void test_what_is_scheduled_is_in_the_audit(void **state)
{
	cleanup_free char *digest = NULL;
	char pattern[256];

	(void)state;
	assert_int_equal(run(&digest, "sha256sum <$D/quick-start.yaml | head -c64"), 0);
	assert_int_equal(run(NULL, "$SQUALL schedule $D/quick-start.yaml --on 'Tue 10:00' "
				   "--name told --directory $D/units"),
			 0);
	snprintf(pattern, sizeof(pattern),
		 "\"event\":\"scheduled\".*\"uid\":.*\"sha256\":\"%s\".*squall-told.timer: Tue "
		 "10:00",
		 digest);
	assert_told(pattern);
	assert_int_equal(run(NULL, "$SQUALL schedule $D/quick-start.yaml --on 'Tue %H' "
				   "--name told --directory $D/units"),
			 2);
	assert_told("\"event\":\"refused\".*no calendar");
	assert_int_equal(run(NULL,
			     "printf 'version: 1\\ntitle: []\\n' >$D/bad.yaml; $SQUALL schedule "
			     "$D/bad.yaml --on 'Tue 10:00' --directory $D/units"),
			 2);
	assert_told("\"event\":\"refused\".*bad.yaml\",\"sha256\":\"[0-9a-f]*\"");
	assert_int_equal(run(NULL, "chmod 666 $D/bad.yaml; $SQUALL schedule $D/bad.yaml --on "
				   "'Tue 10:00' --directory $D/units"),
			 2);
	assert_told("\"event\":\"refused\"");
	assert_int_equal(run(NULL, "$SQUALL schedule --remove told --directory $D/units"), 0);
	assert_told("\"event\":\"unscheduled\".*squall-told.timer");
	assert_int_equal(run(NULL, "$SQUALL schedule --remove told --directory $D/units"), 2);
	assert_told("\"event\":\"refused\".*is not there");
	assert_int_equal(run(NULL, "rm $D/bad.yaml"), 0);
}

/* What it says to do next, done, ends at a calendar that systemd does not understand. */
static void test_what_to_do_next_begins_with_the_calendar(void **state)
{
	cleanup_free char *said = NULL, *calendar = NULL;

	(void)state;
	assert_int_equal(run(&said,
			     "sed '/^limits:/a\\  window: Mon-Fri 09:00-16:00 Europe/Berlin' "
			     "$D/quick-start.yaml >$D/office.yaml; "
			     "$SQUALL schedule $D/office.yaml --on 'Tue 10:99' "
			     "--directory $D/units | tee $D/said"),
			 0);
	assert_non_null(strstr(said, "Outside of its window, Mon-Fri 09:00-16:00 Europe/Berlin, a "
				     "run is refused.\n"));
	assert_non_null(strstr(said, "Next, as root: systemd-analyze calendar 'Tue 10:99' && "
				     "systemctl daemon-reload && systemctl enable --now "
				     "squall-office.timer\n"));
	if (access("/usr/bin/systemd-analyze", X_OK) == 0)
		assert_int_not_equal(run(&calendar, "$(sed -n 's/.*as root: \\(.*\\) .Tue.*/\\1/p' "
						    "$D/said) 'Tue 10:99' 2>&1"),
				     0);
	assert_int_equal(run(NULL, "$SQUALL schedule --remove office --directory $D/units >&2"), 0);
}

/* What is good today, but somebody else could lead or write elsewhere until the timer runs. */
static void test_what_others_can_change_until_then(void **state)
{
	(void)state;
	assert_int_equal(run(NULL,
			     "mkdir -p $D/hers && chown 65534 $D/hers && "
			     "echo name: x >$D/good.conf && ln -s $D/good.conf $D/hers/link && "
			     "ln -s $D/good.conf $D/root-link && "
			     "cp /bin/true $D/hers/check && chown 65534 $D/hers/check"),
			 0);
	/* a link in a directory of somebody else's, and the same in one of root's */
	assert_int_equal(
		run(NULL,
		    "printf 'version: 1\ntitle: t\nlimits: {duration: 60s, targets: 1}\n"
		    "targets: {c: {file: {path: /etc/hostname}}}\nallow-idle: true\nmethod:\n"
		    "  - {at: 0s, for: 1s, file: {target: c, content-from: %s}}\n' "
		    "$D/hers/link >$D/linked.yaml; "
		    "sed s:hers/link:root-link: $D/linked.yaml >$D/well.yaml; "
		    "$SQUALL schedule $D/linked.yaml --on daily --directory $D/units 2>&1 | tee "
		    "$D/said; grep -q 'hers belongs to user 65534' $D/said"),
		0);
	assert_int_equal(run(NULL, "$SQUALL schedule $D/well.yaml --on daily --directory $D/units"),
			 0);
	/* the program of a probe */
	assert_int_equal(
		run(NULL, "printf 'probes: {p: {command: [%s], every: 1s, timeout: 1s}}\n' "
			  "$D/hers/check >$D/tail; cat $D/well.yaml $D/tail >$D/probing.yaml; "
			  "$SQUALL schedule $D/probing.yaml --on daily --directory $D/units 2>&1 | "
			  "tee $D/said; grep -q \"probe 'p': .*hers belongs to user\" $D/said"),
		0);
	assert_int_equal(run(NULL, "sed s:$D/hers/check:/bin/true: $D/probing.yaml >$D/p2.yaml; "
				   "$SQUALL schedule $D/p2.yaml --on daily --directory $D/units"),
			 0);
}

static void test_hostile_values_stay_values(void **state)
{
	cleanup_free char *service = NULL;

	(void)state;
	assert_int_not_equal(run(NULL, "$SQUALL schedule $D/quick-start.yaml --directory $D/units "
				       "--on \"$(printf 'daily\\nUnit=evil.service')\" 2>&1"),
			     0);
	assert_int_not_equal(run(NULL, "$SQUALL schedule $D/quick-start.yaml --directory $D/units "
				       "--on daily --name ../evil 2>&1"),
			     0);
	assert_int_not_equal(run(NULL, "$SQUALL schedule $D/quick-start.yaml --directory $D/units "
				       "--on daily --random-delay '1m;reboot' 2>&1"),
			     0);
	assert_int_equal(
		run(&service,
		    "d=\"$D\"'/a b\"%n$HOME'; mkdir -p \"$d\" && cp experiments/quick-start.yaml "
		    "\"$d/x.yaml\" && $SQUALL schedule \"$d/x.yaml\" --on daily --directory "
		    "$D/units >&2 && cat $D/units/squall-x.service"),
		0);
	assert_non_null(strstr(service, "/a b\\\"%%n$$HOME/x.yaml\"\n"));
	assert_int_equal(run(NULL, "$SQUALL schedule --remove x --directory $D/units >&2"), 0);
}

static void test_what_others_can_change_is_not_run_as_root(void **state)
{
	cleanup_free char *said = NULL;

	(void)state;
	assert_int_equal(run(&said, "chmod 666 $D/quick-start.yaml; $SQUALL schedule "
				    "$D/quick-start.yaml --on daily --directory $D/units 2>&1"),
			 2);
	assert_non_null(strstr(said, "others than root can change"));
	assert_int_equal(run(NULL, "chmod 644 $D/quick-start.yaml"), 0);
}

static void assert_refused(const char *line, const char *reason)
{
	cleanup_free char *said = NULL;

	assert_int_equal(run(&said, line), 2);
	if (!strstr(said, reason))
		fail_msg("'%s' is not in: %s", reason, said);
	assert_int_equal(run(NULL, "test ! -e $D/units/squall-trust.timer"), 0);
}

#define SCHEDULE(program, file)                                                                    \
	program " schedule " file " --on daily --name trust --directory $D/units 2>&1"

static void test_a_program_that_others_can_change_is_not_run_by_a_timer(void **state)
{
	(void)state;
	assert_refused("install -o 1 -m 755 $SQUALL $D/theirs; " SCHEDULE("$D/theirs",
									  "$D/quick-start.yaml"),
		       "/theirs belongs to user 1, who could change what would be run as root");
	assert_refused("chown 0 $D/theirs; chmod 775 $D/theirs; " SCHEDULE("$D/theirs",
									   "$D/quick-start.yaml"),
		       "/theirs (mode 0775), which would be run as root");
	assert_refused("mkdir -m 777 $D/open; install -m 755 $SQUALL $D/open/squall; " SCHEDULE(
			       "$D/open/squall", "$D/quick-start.yaml"),
		       "others than root can change");
	assert_refused(SCHEDULE("$D/open/squall", "$D/quick-start.yaml"), "sudo make install");
}

static void test_what_it_includes_is_looked_at_as_well(void **state)
{
	(void)state;
	assert_refused("printf 'probes: {also: {tcp: \"127.0.0.1:1\"}}\\n' >$D/open/shared.yaml; "
		       "chown 0 $D/open/shared.yaml; chmod 644 $D/open/shared.yaml; "
		       "{ cat $D/quick-start.yaml; echo 'include: [open/shared.yaml]'; } "
		       ">$D/including.yaml; " SCHEDULE("$SQUALL", "$D/including.yaml"),
		       "/open (mode 0777), which would be run as root");
}

/* /etc itself is not touched: a layer above it holds the policy, for one shell. */
#define WITH_POLICY(text, mode)                                                                    \
	"exec unshare -m sh -c 'mount -t tmpfs -o mode=755 layer /mnt && mkdir /mnt/up /mnt/work " \
	"&& mount -t overlay -o lowerdir=/etc,upperdir=/mnt/up,workdir=/mnt/work layer /etc && "   \
	"mkdir -p /etc/squall && printf \"" text "\" >/etc/squall/policy.yaml && "                 \
	"chmod " mode                                                                              \
	" /etc/squall/policy.yaml && " SCHEDULE("$SQUALL", "$D/quick-start.yaml") "'"

/* Found out on the day of the game otherwise. */
static void test_what_the_policy_always_refuses_is_not_scheduled(void **state)
{
	(void)state;
	assert_refused(WITH_POLICY("version: 1\\nallow: {faults: [process]}\\n", "644"),
		       "every run would be refused: fault 'network'");
	assert_refused(WITH_POLICY("version: 1\\n", "666"), "every run would be refused: ");
}

static void test_units_of_others_are_left_alone(void **state)
{
	cleanup_free char *listed = NULL;

	(void)state;
	assert_int_equal(run(NULL, "printf '[Timer]\\nOnCalendar=daily\\n' "
				   ">$D/units/squall-theirs.timer"),
			 0);
	assert_int_equal(run(NULL, "$SQUALL schedule --remove theirs --directory $D/units 2>&1"),
			 2);
	assert_int_equal(run(NULL, "$SQUALL schedule $D/quick-start.yaml --on daily --name theirs "
				   "--directory $D/units 2>&1"),
			 2);
	assert_int_equal(run(&listed, "$SQUALL schedule --directory $D/units"), 0);
	assert_null(strstr(listed, "theirs"));
	assert_int_equal(run(NULL, "grep -qx 'OnCalendar=daily' "
				   "$D/units/squall-theirs.timer && test ! -e "
				   "$D/units/squall-theirs.timer.new"),
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_systemd_finds_the_units_sound),
		cmocka_unit_test(test_what_is_scheduled_is_in_the_audit),
		cmocka_unit_test(test_what_to_do_next_begins_with_the_calendar),
		cmocka_unit_test(test_hostile_values_stay_values),
		cmocka_unit_test(test_what_others_can_change_is_not_run_as_root),
		cmocka_unit_test(test_a_program_that_others_can_change_is_not_run_by_a_timer),
		cmocka_unit_test(test_what_it_includes_is_looked_at_as_well),
		cmocka_unit_test(test_what_others_can_change_until_then),
		cmocka_unit_test(test_what_the_policy_always_refuses_is_not_scheduled),
		cmocka_unit_test(test_units_of_others_are_left_alone),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
