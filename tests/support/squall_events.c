/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a started squall says and how it ends.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

void pause_ms(int64_t ms)
{
	poll(NULL, 0, (int)ms);
}

bool is_emulated(void)
{
	return getenv("SQUALL_IN_VM") != NULL;
}

const char *member_text(const json_t *object, const char *name)
{
	const json_t *member = json_object_get(object, name);

	if (!json_is_string(member))
		fail_msg("no text '%s' in %s", name, json_dumps(object, JSON_COMPACT));
	return json_string_value(member);
}

int64_t member_number(const json_t *object, const char *name)
{
	const json_t *member = json_object_get(object, name);

	if (!json_is_integer(member))
		fail_msg("no number '%s' in %s", name, json_dumps(object, JSON_COMPACT));
	return json_integer_value(member);
}

/* ---- Reading ---- */

static char *read_all(int fd)
{
	struct stat status;
	char *text;
	ssize_t got;

	assert_int_equal(fstat(fd, &status), 0);
	text = malloc((size_t)status.st_size + 1);
	assert_non_null(text);
	got = pread(fd, text, (size_t)status.st_size, 0);
	text[got > 0 ? got : 0] = '\0';
	return text;
}

char *squall_output(const struct squall *squall)
{
	return read_all(squall->out);
}

char *squall_messages(const struct squall *squall)
{
	return read_all(squall->err);
}

bool squall_has_said(const struct squall *squall, const char *text)
{
	cleanup_free char *out = squall_output(squall), *err = squall_messages(squall);

	return strstr(out, text) || strstr(err, text);
}

static void give_up(const struct squall *squall, const char *what)
{
	cleanup_free char *out = squall_output(squall), *err = squall_messages(squall);

	fprintf(stderr, "--- output:\n%s--- messages:\n%s---\n", out, err);
	fail_msg("%s", what);
}

static void read_events(struct squall *squall)
{
	cleanup_free char *text = squall_output(squall);
	char *line = text + squall->parsed, *end;

	for (; (end = strchr(line, '\n')); line = end + 1) {
		json_error_t error;
		json_t *event;

		*end = '\0';
		event = json_loads(line, 0, &error);
		if (!event)
			fail_msg("not JSON (%s): %s", error.text, line);
		json_array_append_new(squall->events, event);
	}
	squall->parsed = (size_t)(line - text);
}

static json_t *find_event(const struct squall *squall, const char *kind, unsigned nth)
{
	json_t *event;
	size_t i;

	json_array_foreach (squall->events, i, event)
		if (strcmp(member_text(event, "event"), kind) == 0 && --nth == 0)
			return event;
	return NULL;
}

static bool has_ended(struct squall *squall)
{
	int status;

	if (!squall->is_over && waitpid(squall->pid, &status, WNOHANG) == squall->pid) {
		squall->is_over = true;
		squall->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	return squall->is_over;
}

json_t *squall_event(struct squall *squall, const char *kind)
{
	read_events(squall);
	return find_event(squall, kind, 1);
}

json_t *squall_await_nth(struct squall *squall, const char *kind, unsigned nth)
{
	int64_t until_ns = clock_now_ns() + STAGE_WAIT_MS * NSEC_PER_MSEC;
	char what[128];

	for (;;) {
		bool is_last = has_ended(squall) || clock_now_ns() > until_ns;
		json_t *event;

		read_events(squall);
		event = find_event(squall, kind, nth);
		if (event)
			return event;
		if (is_last)
			break;
		pause_ms(2);
	}
	snprintf(what, sizeof(what), "event '%s' number %u did not come (%s, status %d)", kind, nth,
		 squall->is_over ? "ended" : "still running", squall->status);
	give_up(squall, what);
	return NULL;
}

json_t *squall_await(struct squall *squall, const char *kind)
{
	return squall_await_nth(squall, kind, 1);
}

void squall_await_phase(struct squall *squall, const char *phase)
{
	for (unsigned nth = 1;; nth++)
		if (strcmp(member_text(squall_await_nth(squall, "phase", nth), "phase"), phase) ==
		    0)
			return;
}

struct search {
	pid_t parent, found;
	const char *name;
};

static int look_at(pid_t pid, void *context)
{
	struct search *search = context;
	struct proc_stat stat;

	if (proc_read_stat(pid, &stat) < 0 || stat.parent != search->parent ||
	    strcmp(stat.comm, search->name) != 0)
		return 0;
	search->found = pid;
	return 1;
}

static pid_t child_named(const struct squall *squall, pid_t parent, const char *name)
{
	struct search search = {.parent = parent, .name = name};

	proc_each(look_at, &search);
	if (!search.found)
		give_up(squall, name);
	return search.found;
}

void squall_await_armed(struct squall *squall)
{
	const char *id = member_text(squall_await(squall, "armed"), "run");

	snprintf(squall->run_id, sizeof(squall->run_id), "%s", id);
	squall->worker = child_named(squall, squall->pid, "squall-worker");
	squall->guardian = child_named(squall, squall->pid, "squall-guardian");
}

void squall_await_injected(struct squall *squall)
{
	squall_await_armed(squall);
	squall_await(squall, "injected");
}

int squall_await_exit(struct squall *squall)
{
	int64_t until_ns = clock_now_ns() + 2 * STAGE_WAIT_MS * NSEC_PER_MSEC;

	while (!has_ended(squall)) {
		if (clock_now_ns() > until_ns)
			give_up(squall, "squall does not end");
		pause_ms(1);
	}
	return squall->status;
}

void squall_assert_exit(struct squall *squall, int code)
{
	char what[64];

	if (squall_await_exit(squall) == code)
		return;
	snprintf(what, sizeof(what), "exit code %d, expected %d", squall->status, code);
	give_up(squall, what);
}

void squall_assert_refused(struct squall *squall, const char *words)
{
	cleanup_free char *said = NULL;

	squall_assert_exit(squall, 2);
	said = squall_messages(squall);
	if (!strstr(said, words))
		fail_msg("'%s' is not said by: %s", words, said);
}

void squall_signal(const struct squall *squall, int signal)
{
	assert_int_equal(kill(squall->pid, signal), 0);
}

/* What a failed test leaves running is ended by its numbers. */
static void end_process(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGCONT);
	kill(pid, SIGKILL);
	process_await_gone(pid, 1000);
}

void squall_free(struct squall *squall)
{
	if (!squall->is_over) {
		kill(squall->pid, SIGCONT);
		kill(squall->pid, SIGTERM);
		for (unsigned i = 0; i < 300 && !has_ended(squall); i++)
			pause_ms(10);
	}
	if (!squall->is_over) {
		end_process(squall->pid);
		end_process(squall->worker);
	}
	json_decref(squall->events);
	close(squall->out);
	close(squall->err);
	free(squall);
}

bool process_await_gone(pid_t pid, int64_t ms)
{
	int64_t until_ns = clock_now_ns() + ms * NSEC_PER_MSEC;
	struct proc_stat stat;

	do {
		waitpid(pid, NULL, WNOHANG);
		if (proc_read_stat(pid, &stat) < 0)
			return true;
		pause_ms(1);
	} while (clock_now_ns() < until_ns);
	return false;
}

void squall_await_followed(struct squall *squall, unsigned nth, bool is_changed, const char *words)
{
	json_t *event = squall_await_nth(squall, "followed", nth);

	printf("# %s\n", member_text(event, "text"));
	assert_int_equal(json_is_true(json_object_get(event, "changed")), is_changed);
	if (!strstr(member_text(event, "text"), words))
		fail_msg("'%s' does not say '%s'", member_text(event, "text"), words);
}

unsigned squall_count_followed(const struct squall *squall)
{
	json_t *event;
	unsigned count = 0;
	size_t i;

	json_array_foreach (squall->events, i, event)
		count += strcmp(member_text(event, "event"), "followed") == 0;
	return count;
}
