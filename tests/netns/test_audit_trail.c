/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The audit has an end to each beginning, whoever refuses and however early, and each of its lines
 * is whole, also behind one that a full disk has torn.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"
#include "injector/journal/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/netns/trail_bench.h"

#define HEAD   "version: 1\ntitle: t\n"
#define LIMITS "limits: {duration: 20s, targets: 1}\n"
#define CLOSED "limits: {duration: 20s, targets: 1, window: \"%02d:00-%02d:30 UTC\"}\n"
#define STEP   "method:\n  - {at: 0s, for: 100ms, network: {to: \"10.88.0.2:7001\", delay: 100ms}}\n"

static size_t count_lines(const struct stage *stage)
{
	json_t *list = trail(stage);
	size_t count = json_array_size(list);

	json_decref(list);
	return count;
}

/* The lines since there were `before`; the last is of that kind and speaks of `text`. Borrowed. */
static json_t *last_line(json_t *list, size_t before, const char *event, const char *text)
{
	json_t *last = json_array_get(list, json_array_size(list) - 1);

	if (json_array_size(list) <= before)
		fail_msg("no line of '%s' was written", event);
	assert_string_equal(member_text(last, "event"), event);
	if (*text && !strstr(member_text(last, "text"), text))
		fail_msg("'%s' does not tell of '%s'", member_text(last, "text"), text);
	return last;
}

/* Squall refuses; the last line says so. `digest`: of the file, as far as it was read. */
static void assert_refusal_told(struct stage *stage, const char *words, const char *event,
				const char *text, const char *path, const char *digest)
{
	size_t before = count_lines(stage);
	json_t *list, *line;

	assert_int_equal(squall_call(stage, NULL, "%s", words), 2);
	list = trail(stage);
	line = last_line(list, before, event, text);
	assert_fields(line, digest);
	if (path)
		assert_string_equal(member_text(line, "file"), path);
	json_decref(list);
}

static int set_up(void **state)
{
	int result = stage_setup(state);

	squall_call(*state, NULL, "resume"); /* the file is there */
	return result;
}

static void test_a_file_that_is_not_taken_is_told(void **state)
{
	struct stage *stage = *state;
	cleanup_free char *path = strdup(stage_write(stage, "open.yaml", HEAD LIMITS STEP));
	cleanup_free char *digest = NULL;
	char words[128], folder[96];

	chmod(path, 0666);
	snprintf(words, sizeof(words), "run %s", path);
	assert_refusal_told(stage, words, "refused", "written by others", path, NULL);
	snprintf(words, sizeof(words), "plan %s", path);
	assert_refusal_told(stage, words, "refused", "written by others", path, NULL);
	snprintf(words, sizeof(words), "replay %s", path);
	digest = netlab_output("sha256sum %s", path);
	assert_refusal_told(stage, words, "refused", "written by others", path, digest);
	chmod(path, 0644);
	snprintf(folder, sizeof(folder), "%s/none.yaml", stage->folder);
	snprintf(words, sizeof(words), "run %s", folder);
	assert_refusal_told(stage, words, "refused", "No such file", folder, NULL);
	assert_refusal_told(stage, "replay none", "refused", "neither a run nor a file", "none",
			    NULL);
	snprintf(words, sizeof(words), "run %s -- /no/such/program", path);
	assert_refusal_told(stage, words, "refused", "/no/such/program", path, NULL);
	assert_refusal_told(stage, "inject", "refused", "the FAULT is missing", NULL, NULL);
	assert_refusal_told(stage, "stop aaaaaa", "refused", "there is no run", NULL, NULL);
	assert_refusal_told(stage, "stop", "refused", "no run is live", NULL, NULL);
	assert_refusal_told(stage, "restore aaaaaa", "refused", "there is no run", NULL, NULL);
	stage_assert_clean(stage);
}

/* The conductor, which has no rights, refuses: the worker writes that it came to nothing. */
static void test_what_the_conductor_refuses_has_an_end(void **state)
{
	static const char text[] = "refused before a plan; nothing was injected";
	struct stage *stage = *state;
	const int far = (int)((time(NULL) / 3600 + 6) % 24); /* hours away */
	char closed[512], words[128];
	const char *const bad[] = {"version: 1\ntitle: [\n",
				   HEAD LIMITS STEP "include: none.yaml\n", closed};
	size_t before;
	json_t *list;

	snprintf(closed, sizeof(closed), HEAD CLOSED STEP, far, far);
	for (unsigned i = 0; i < 3; i++) {
		cleanup_free char *path = strdup(stage_write(stage, "bad.yaml", "%s", bad[i]));
		cleanup_free char *digest = netlab_output("sha256sum %s", path);

		snprintf(words, sizeof(words), "run %s", path);
		assert_refusal_told(stage, words, "ended", text, path, digest);
	}
	assert_refusal_told(stage, "inject network to=10.88.0.2 dealy=1s for=1s", "ended", text,
			    NULL, NULL);
	assert_refusal_told(stage, "inject network to=10.88.0.2 delay=1s for=1s --frobnicate",
			    "refused", "frobnicate", NULL, NULL);
	before = count_lines(stage);
	assert_int_equal(squall_call(stage, NULL, "plan %s",
				     stage_write(stage, "plan.yaml", HEAD LIMITS STEP)),
			 0);
	list = trail(stage);
	assert_string_equal(member_text(last_line(list, before, "ended", ""), "text"),
			    "nothing was injected");
	json_decref(list);
	stage_assert_clean(stage);
}

/* Beginning and end of each of them, and no "ended" where something was in force. */
static void test_a_run_that_finished_has_one_end(void **state)
{
	struct stage *stage = *state;
	size_t before = count_lines(stage);
	json_t *list;

	assert_int_equal(squall_call(stage, NULL,
				     "inject network to=10.88.0.2:7001 delay=100ms "
				     "for=100ms"),
			 0);
	list = trail(stage);
	last_line(list, before, "finished", "");
	for (size_t i = before; i < json_array_size(list); i++)
		assert_string_not_equal(member_text(json_array_get(list, i), "event"), "ended");
	json_decref(list);
	stage_assert_clean(stage);
}

static void test_who_pulls_the_lever_is_told_before_it_is_pulled_through(void **state)
{
	struct stage *stage = *state;
	struct squall *run = squall_start(stage, NULL,
					  "inject --json network to=10.88.0.2:7001 "
					  "delay=100ms for=20s"),
		      *halt;
	json_t *list = NULL;
	bool is_told = false;

	squall_await_injected(run);
	/* who does not obey keeps the command waiting for ten seconds */
	kill(run->worker, SIGSTOP);
	kill(run->guardian, SIGSTOP);
	halt = squall_start(stage, NULL, "halt --reason fire");
	for (int waited = 0; !is_told && waited < STAGE_WAIT_MS / 2; waited += 20) {
		json_t *last;

		pause_ms(20);
		json_decref(list);
		list = trail(stage);
		last = json_array_get(list, json_array_size(list) - 1);
		is_told = strcmp(member_text(last, "event"), "halting") == 0;
	}
	assert_true(is_told);
	assert_fields(find(list, "halting", "fire"), NULL);
	json_decref(list);
	squall_signal(halt, SIGKILL);
	squall_await_exit(halt);
	kill(run->guardian, SIGCONT);
	kill(run->worker, SIGCONT);
	squall_assert_exit(run, 4);
	assert_int_equal(squall_call(stage, NULL, "halt --reason again"), 0);
	list = trail(stage);
	last_line(list, 0, "halt", "again");
	assert_string_equal(member_text(json_array_get(list, json_array_size(list) - 2), "event"),
			    "halting");
	json_decref(list);
	assert_int_equal(squall_call(stage, NULL, "resume"), 0);
	stage_assert_clean(stage);
}

/* --- a disk that is full --- */

#define PAGE 4096

static char disk[64], log_path[96];

static void write_bytes(const char *path, size_t count, char last)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	for (size_t i = 0; i + 1 < count; i++)
		fputc(i == 0 ? '{' : ' ', file);
	fputc(last, file);
	assert_int_equal(fclose(file), 0);
}

/* Two pages: one that lacks a hundred bytes of being full of the audit, and one of something else.
 */
static void fill(void)
{
	char path[128];

	strcpy(disk, "/tmp/squall-trail.XXXXXX");
	assert_non_null(mkdtemp(disk));
	assert_int_equal(mount("squall-test", disk, "tmpfs", 0, "size=8k,mode=755"), 0);
	snprintf(log_path, sizeof(log_path), "%s/" AUDIT_FILE, disk);
	write_bytes(log_path, PAGE - 100, '\n');
	snprintf(path, sizeof(path), "%s/other", disk);
	write_bytes(path, PAGE, '\n');
	audit_set_directory(disk);
}

static void make_room(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/other", disk);
	assert_int_equal(unlink(path), 0);
}

/* The lines of the file; how many of them are records, and how many are empty. */
static void count_records(unsigned *out_lines, unsigned *out_records, unsigned *out_empty)
{
	FILE *file = fopen(log_path, "re");
	char line[2 * PAGE];

	*out_lines = *out_records = *out_empty = 0;
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		json_t *entry = json_loads(line, 0, NULL);

		*out_lines += 1;
		*out_records += entry != NULL;
		*out_empty += line[0] == '\n';
		json_decref(entry);
	}
	fclose(file);
}

static int tear_down_disk(void **state)
{
	(void)state;
	umount2(disk, MNT_DETACH);
	return rmdir(disk);
}

static void test_behind_a_torn_line_the_next_is_whole(void **state)
{
	struct error err = ERROR_INIT;
	unsigned lines, records, empty;

	(void)state;
	fill();
	audit_caller("run", 0, NULL, NULL, 0);
	assert_int_equal(audit_write(&err, "begin", "", "this is cut off"), -ENOSPC);
	assert_non_null(err.remedy[0] ? err.remedy : NULL);
	count_records(&lines, &records, &empty);
	assert_int_equal(lines, 2);
	assert_int_equal(records, 0);
	make_room();
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(audit_write(&err, "begin", "", "this is whole"), 0);
	count_records(&lines, &records, &empty);
	assert_int_equal(lines, 4);
	assert_int_equal(records, 2);
	assert_int_equal(empty, 0);
}

static void test_what_was_held_and_does_not_fit_is_an_error(void **state)
{
	struct error err = ERROR_INIT;
	unsigned lines, records, empty;

	(void)state;
	fill();
	audit_caller("run", 0, NULL, NULL, 0);
	audit_hold();
	assert_int_equal(audit_write(&err, "restored", "", "step 1"), 0);
	assert_int_equal(audit_write(&err, "restored", "", "step 2"), 0);
	assert_int_equal(audit_release(&err), -ENOSPC);
	assert_non_null(strstr(err.text, AUDIT_FILE));
	make_room();
	audit_hold();
	assert_int_equal(audit_write(&err, "restored", "", "step 1"), 0);
	assert_int_equal(audit_write(&err, "restored", "", "step 2"), 0);
	assert_int_equal(audit_release(&err), 0);
	count_records(&lines, &records, &empty);
	assert_int_equal(records, 2);
	assert_int_equal(empty, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, stage_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_file_that_is_not_taken_is_told),
		TEST(test_what_the_conductor_refuses_has_an_end),
		TEST(test_a_run_that_finished_has_one_end),
		TEST(test_who_pulls_the_lever_is_told_before_it_is_pulled_through),
		cmocka_unit_test_teardown(test_behind_a_torn_line_the_next_is_whole,
					  tear_down_disk),
		cmocka_unit_test_teardown(test_what_was_held_and_does_not_fit_is_an_error,
					  tear_down_disk),
	};

	return STAGE_RUN(tests);
}
