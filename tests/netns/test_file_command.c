/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real binary and a real nginx that reads its file again by `reload-command`: who runs it, what
 * it may do, and that neither its failure nor anybody's death keeps the bad version in place.
 */
#include "tests/netns/file_service.h"

#include <sys/resource.h>

#define BY_NGINX                                                                                   \
	"reload-command: [/usr/sbin/nginx, -p, %1$s, -c, %2$s, -e, %1$s/errors, -s, reload]"

static const struct squall_how nobody = {
	.extra = (const char *const[]){"SUDO_UID=65534", "SUDO_GID=65534", NULL}};

static const char *by_nginx(void)
{
	static char text[600];

	snprintf(text, sizeof(text), BY_NGINX, folder, config);
	return text;
}

/* A program of the test: with the file `hang` beside it it never ends, with `fail` it fails. */
static const char *by_script(struct stage *stage)
{
	static char text[200];

	stage_write(stage, "service/reload",
		    "#!/bin/sh\n"
		    "[ -e %1$s/hang ] && exec sleep 71.5\n"
		    "[ -e %1$s/fail ] && { echo it is broken; exit 3; }\n"
		    "{ id -u; id -G; grep CapEff /proc/self/status; pwd; echo $HOME $SUDO_UID; "
		    "ulimit -t; } "
		    ">%1$s/t/seen\nls /proc/self/fd | tr '\\n' ' ' >>%1$s/t/seen\n",
		    folder);
	netlab_run("chmod 755 %s/reload", folder);
	netlab_run("chmod 1777 %s/t", folder);
	snprintf(text, sizeof(text), "reload-command: [%s/reload]", folder);
	return text;
}

static struct squall *start_command_run(struct stage *stage, const struct squall_how *how,
					const char *with, const char *how_long, const char *reload)
{
	struct squall *squall = squall_start(stage, how, "run --json %s",
					     write_experiment(stage, with, how_long, "", reload));

	squall_await_injected(squall);
	return squall;
}

static pid_t find_reloader(const struct squall *squall)
{
	cleanup_free char *found = netlab_output("pgrep -P %d -x squall-reloader", squall->worker);

	assert_true(atoi(found) > 0);
	return atoi(found);
}

static void assert_original(const char *when)
{
	cleanup_free char *text = netlab_output("cat %s", config);

	if (!strstr(text, service->good))
		fail_msg("%s: the file is still the bad version", when);
}

static void end(struct stage *stage, const char *before)
{
	await_answer(stage, 200, "afterwards");
	assert_same(stage, before);
	stop_service();
	stage_assert_clean(stage);
}

static void test_nginx_is_told_by_its_own_command(void **state)
{
	static const struct squall_how how = {
		.policy = "version: 1\nallow: {commands: [/usr/sbin/nginx]}\n"};
	struct stage *stage = *state;
	cleanup_free char *before = NULL;
	struct squall *squall;
	pid_t reloader;

	start_service(stage, &nginx);
	before = describe();
	squall = start_command_run(stage, &how, nginx.wrong, is_emulated() ? "8s" : "2s",
				   by_nginx());
	reloader = find_reloader(squall);
	await_answer(stage, 500, "with the wrong configuration");
	squall_assert_exit(squall, 0);
	assert_true(process_await_gone(reloader, PATIENCE_MS));
	end(stage, before);
}

/* What it says of a bad file is what was asked for, and no failure of the run. */
static void test_what_the_command_says_of_a_broken_file_is_shown(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL, *said = NULL;
	struct squall *squall;

	start_service(stage, &nginx);
	before = describe();
	squall = start_command_run(stage, NULL, nginx.broken, is_emulated() ? "12s" : "2s",
				   by_nginx());
	squall_assert_exit(squall, 0);
	said = squall_output(squall);
	if (!strstr(said, "/usr/sbin/nginx exited with status 1: nginx: "))
		fail_msg("nothing is said of it: %s", said);
	end(stage, before);
}

static void test_it_runs_as_the_user_who_called_with_nothing_of_ours(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL, *planned = NULL, *seen = NULL, *held = NULL;
	struct squall *squall;
	struct rlimit usual;
	const char *reload;

	start_service(stage, &nginx);
	reload = by_script(stage);
	before = describe();
	squall = squall_start(stage, &nobody, "plan --json %s",
			      write_experiment(stage, nginx.wrong, "1s", "", reload));
	squall_assert_exit(squall, 0);
	planned = squall_output(squall);
	if (!strstr(planned, "is run as nobody"))
		fail_msg("the plan does not say who runs it: %s", planned);
	/* squall needs more for itself; what it raised is not the command's */
	assert_int_equal(getrlimit(RLIMIT_CPU, &usual), 0);
	assert_int_equal(setrlimit(RLIMIT_CPU, &(struct rlimit){77777, usual.rlim_max}), 0);
	squall =
		start_command_run(stage, &nobody, nginx.wrong, is_emulated() ? "8s" : "1s", reload);
	setrlimit(RLIMIT_CPU, &usual);
	held = netlab_output("ls -l /proc/%d/fd", find_reloader(squall));
	netlab_run("grep -q listen %s", config); /* nobody may not read it: somebody has to */
	assert_null(strstr(held, "journal"));
	assert_null(strstr(held, "/lib/"));
	squall_assert_exit(squall, 0);
	seen = netlab_output("cat %s/t/seen", folder);
	assert_string_equal(seen, "65534\n65534\nCapEff:\t0000000000000000\n/\n/nonexistent\n"
				  "77777\n0 1 2 3 ");
	end(stage, before);
}

static void test_a_command_that_hangs_does_not_keep_the_file_bad(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL, *said = NULL;
	const char *reload;
	struct squall *squall;

	start_service(stage, &nginx);
	reload = by_script(stage);
	before = describe();
	squall = start_command_run(stage, NULL, nginx.wrong, is_emulated() ? "8s" : "1s", reload);
	netlab_run("touch %s/hang", folder);
	squall_await(squall, "ended");
	assert_original("while the command hangs");
	squall_assert_exit(squall, 6);
	said = squall_output(squall);
	assert_non_null(strstr(said, "is restored, what follows is not: /"));
	assert_non_null(strstr(said, "/reload was killed after 5 s"));
	/* it would try for as long once more */
	assert_int_equal(kill(squall->guardian, SIGKILL), 0);
	assert_true(process_await_gone(squall->guardian, PATIENCE_MS));
	netlab_run("rm %s/hang", folder);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	netlab_run("test -e %s/t/seen", folder);
	end(stage, before);
}

/* One run of several at once: its own file, its own command, its own end. */
struct hanging {
	const char *name, *limit, *lasts;
	const char *probe, *more; /* is that file there? and what follows from that */
	struct squall *squall;
};

static void start_hanging(struct stage *stage, struct hanging *run)
{
	char file[64], more[400] = "";

	if (run->probe)
		snprintf(
			more, sizeof(more),
			"probes: {well: {command: [/usr/bin/test, -e, %s/%s], every: 200ms}}\n%s\n",
			stage->folder, run->probe, run->more);
	snprintf(file, sizeof(file), "%s.conf", run->name);
	stage_write(stage, file, "good\n");
	snprintf(file, sizeof(file), "%s.sh", run->name);
	netlab_run("chmod 755 %s",
		   stage_write(stage, file,
			       "#!/bin/sh\n[ -e %s/%s.hang ] && exec sleep 72.5\nexit 0\n",
			       stage->folder, run->name));
	snprintf(file, sizeof(file), "%s.yaml", run->name);
	stage_write(stage, file,
		    "version: 1\ntitle: %1$s\nlimits: {duration: %2$s, targets: 1}\n%3$s"
		    "targets: {config: {file: {path: %4$s/%1$s.conf}}}\nmethod:\n"
		    "  - {at: 0s, for: %5$s, file: {target: config, content: bad,\n"
		    "     reload-command: [%4$s/%1$s.sh]}}\n",
		    run->name, run->limit, more, stage->folder, run->lasts);
	run->squall = squall_start(stage, NULL, "run --json %s", stage_path(stage, file));
	squall_await_armed(run->squall);
}

static void set_hanging(const struct stage *stage, const struct hanging *run, bool hangs)
{
	char file[64];

	snprintf(file, sizeof(file), "%s.hang", run->name);
	if (hangs)
		stage_write(stage, file, "\n");
	else
		netlab_run("rm %s", stage_path(stage, file));
}

/* The file is back at once; the run ends when the command was given up, and says that. Then it
 * hangs no more, for whoever comes next. */
static void assert_hung(struct stage *stage, const struct hanging *run)
{
	const int64_t from_ns = clock_now_ns();
	cleanup_free char *said = NULL, *text = NULL;
	char name[64];

	squall_await(run->squall, "ended");
	snprintf(name, sizeof(name), "%s.conf", run->name);
	text = netlab_output("cat %s", stage_path(stage, name));
	if (strcmp(text, "good\n") != 0)
		fail_msg("%s: the file is still bad", run->name);
	squall_assert_exit(run->squall, 6);
	said = squall_output(run->squall);
	if (!strstr(said, "is restored, what follows is not") ||
	    !strstr(said, ".sh was killed after 5 s"))
		fail_msg("%s: it does not say what hung: %s", run->name, said);
	if (clock_now_ns() - from_ns > 3 * PATIENCE_MS * NSEC_PER_MSEC)
		fail_msg("%s: it took too long", run->name);
	/* in this order: who restores what the dead guardian did not shall not hang, too */
	set_hanging(stage, run, false);
	kill(run->squall->guardian, SIGKILL); /* it would try for as long once more */
}

static void test_a_command_that_hangs_holds_up_no_kind_of_end(void **state)
{
	struct hanging runs[] = {
		{.name = "stop", .limit = "2m", .lasts = "1m"},
		{.name = "halt", .limit = "2m", .lasts = "1m"},
		{.name = "abort",
		 .limit = "2m",
		 .lasts = "1m",
		 .probe = "well",
		 .more = "abort-when: [{probe: well, fails: 1}]"},
		/* it waits so long for its steady state that the method does not fit any more */
		{.name = "deadline",
		 .limit = is_emulated() ? "12s" : "3s",
		 .lasts = is_emulated() ? "10s" : "2500ms",
		 .probe = "ready",
		 .more = "steady-state: {require: [well], for: 200ms, within: 1m}"},
	};
	struct stage *stage = *state;
	struct squall *stop, *halt;

	stage_write(stage, "well", "\n");
	for (unsigned i = 0; i < 4; i++) {
		start_hanging(stage, &runs[i]);
		if (i < 3)
			squall_await_injected(runs[i].squall);
	}
	pause_ms(is_emulated() ? 4000 : 1000);
	stage_write(stage, "ready", "\n");
	squall_await_injected(runs[3].squall);
	for (unsigned i = 0; i < 4; i++)
		set_hanging(stage, &runs[i], true);
	netlab_run("rm %s", stage_path(stage, "well"));
	stop = squall_start(stage, NULL, "stop %s", runs[0].squall->run_id);
	assert_hung(stage, &runs[0]);
	assert_hung(stage, &runs[2]);
	assert_hung(stage, &runs[3]);
	squall_assert_exit(stop, 0);
	halt = squall_start(stage, NULL, "halt --reason fire");
	assert_hung(stage, &runs[1]);
	squall_assert_exit(halt, 0);
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	await_no_journal(stage);
	stage_assert_clean(stage);
}

static void test_a_command_that_fails_is_told_with_what_to_type(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL, *said = NULL;
	const char *reload;
	struct squall *squall;

	start_service(stage, &nginx);
	reload = by_script(stage);
	before = describe();
	squall = start_command_run(stage, NULL, nginx.wrong, is_emulated() ? "8s" : "1s", reload);
	netlab_run("touch %s/fail", folder);
	squall_assert_exit(squall, 6);
	assert_original("after the failure");
	said = squall_output(squall);
	assert_non_null(strstr(said, "/reload exited with status 3: it is broken"));
	assert_int_equal(squall_call(stage, NULL, "restore"), 6);
	netlab_run("rm %s/fail", folder);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	end(stage, before);
}

static void test_killed_worker_the_guardian_has_it_reloaded(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL;
	struct squall *squall;
	pid_t reloader;

	start_service(stage, &nginx);
	before = describe();
	squall = start_command_run(stage, NULL, nginx.wrong, "60s", by_nginx());
	reloader = find_reloader(squall);
	await_answer(stage, 500, "in force");
	assert_int_equal(kill(squall->worker, SIGKILL), 0);
	await_answer(stage, 200, "without any command");
	squall_assert_exit(squall, 4);
	assert_true(process_await_gone(squall->guardian, PATIENCE_MS));
	assert_true(process_await_gone(reloader, PATIENCE_MS));
	end(stage, before);
}

static void test_everybody_killed_restore_reloads(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL;
	struct squall *squall;
	pid_t reloader;

	start_service(stage, &nginx);
	before = describe();
	squall = start_command_run(stage, NULL, nginx.wrong, "60s", by_nginx());
	reloader = find_reloader(squall);
	await_answer(stage, 500, "in force");
	kill_all(squall);
	squall_await_exit(squall);
	/* with nobody left to ask it it goes by itself */
	assert_true(process_await_gone(reloader, PATIENCE_MS));
	assert_still_wrong(stage);
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	end(stage, before);
}

static void test_killed_reloader_the_file_comes_back_all_the_same(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *before = NULL;
	struct squall *squall;

	start_service(stage, &nginx);
	before = describe();
	squall = start_command_run(stage, NULL, nginx.wrong, is_emulated() ? "8s" : "2s",
				   by_nginx());
	await_answer(stage, 500, "in force");
	assert_int_equal(kill(find_reloader(squall), SIGKILL), 0);
	squall_assert_exit(squall, 6);
	assert_original("after the run");
	assert_true(process_await_gone(squall->guardian, PATIENCE_MS));
	assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	end(stage, before);
}

static void test_the_site_decides_about_commands(void **state)
{
	static const struct squall_how how = {.policy = "version: 1\nallow: {commands: [none]}\n"};
	struct stage *stage = *state;
	cleanup_free char *before = NULL;
	struct squall *squall;

	start_service(stage, &nginx);
	before = describe();
	squall = squall_start(stage, &how, "run %s",
			      write_experiment(stage, nginx.wrong, "1s", "", by_nginx()));
	squall_assert_refused(squall, "reload-command /usr/sbin/nginx: refused by the site policy");
	end(stage, before);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, service_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_nginx_is_told_by_its_own_command),
		TEST(test_what_the_command_says_of_a_broken_file_is_shown),
		TEST(test_it_runs_as_the_user_who_called_with_nothing_of_ours),
		TEST(test_a_command_that_hangs_does_not_keep_the_file_bad),
		TEST(test_a_command_that_hangs_holds_up_no_kind_of_end),
		TEST(test_a_command_that_fails_is_told_with_what_to_type),
		TEST(test_killed_worker_the_guardian_has_it_reloaded),
		TEST(test_everybody_killed_restore_reloads),
		TEST(test_killed_reloader_the_file_comes_back_all_the_same),
		TEST(test_the_site_decides_about_commands),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return getenv("SQUALL_MUST_RUN") ? 1 : 77;
	}
	return STAGE_RUN(tests);
}
