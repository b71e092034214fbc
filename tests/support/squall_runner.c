/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define WORDS_MAX 64

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

/* ---- Starting ---- */

/* BUILD/squall, beside BUILD/tests/netns/test_x: also in the variants. */
static const char *binary(void)
{
	static char path[4096];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 8);

	assert_true(length > 0);
	path[length] = '\0';
	for (unsigned i = 0; i < 3; i++)
		*strrchr(path, '/') = '\0';
	strcat(path, "/squall");
	return path;
}

static char **make_environment(const struct squall_how *how)
{
	static char *list[512];
	unsigned count = 0;

	for (char **each = environ; *each && count < 500; each++)
		if (strncmp(*each, "SUDO_", 5) != 0 && strncmp(*each, "SSH_", 4) != 0)
			list[count++] = *each;
	for (const char *const *each = how->extra; each && *each && count < 510; each++)
		list[count++] = strdup(*each);
	list[count] = NULL;
	return list;
}

static void leave_child(const char *what)
{
	dprintf(2, "%s: %s\n", what, strerror(errno));
	_exit(99);
}

static void fill_disk(const char *folder, unsigned kib)
{
	static const char zeros[4096];
	char options[64], path[256];
	int fd;

	snprintf(options, sizeof(options), "size=%uk,mode=755", kib);
	if (mount("squall-test", folder, "tmpfs", 0, options) < 0)
		leave_child("tmpfs");
	snprintf(path, sizeof(path), "%s/squall", folder);
	if (mkdir(path, 0755) < 0)
		leave_child(path);
	snprintf(path, sizeof(path), "%s/filler", folder);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	close(fd);
}

/* In the child. The journal insists on folders that are root's alone, all the way: /run and
 * /var/lib themselves are replaced, with the namespaces of `ip netns` kept in view. */
static void enter_mounts(const struct stage *stage, const struct squall_how *how)
{
	char path[128];

	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		leave_child("mount namespace");
	snprintf(path, sizeof(path), "%s/run/netns", stage->folder);
	if (mount("/run/netns", path, NULL, MS_BIND | MS_REC, NULL) < 0)
		leave_child(path);
	snprintf(path, sizeof(path), "%s/lib", stage->folder);
	if (mount(path, "/var/lib", NULL, MS_BIND, NULL) < 0)
		leave_child(path);
	snprintf(path, sizeof(path), "%s/run", stage->folder);
	if (mount(path, "/run", NULL, MS_BIND | MS_REC, NULL) < 0)
		leave_child(path);
	if (how->full_run_kib)
		fill_disk("/run", how->full_run_kib);
	if (how->full_lib_kib)
		fill_disk("/var/lib", how->full_lib_kib);
}

static void become(const struct squall *squall, const struct squall_how *how, char **words)
{
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (setns(squall->stage->lab->near_fd, CLONE_NEWNET) < 0)
		leave_child("network namespace");
	enter_mounts(squall->stage, how);
	if (how->terminal > 0 && ioctl(how->terminal, TIOCSCTTY, 0) < 0)
		leave_child("terminal");
	for (int fd = 0; fd <= 2; fd++) {
		const int streams[] = {null, squall->out, squall->err};

		dup2(how->terminal > 0 ? how->terminal : streams[fd], fd);
	}
	if (how->uid && (setgroups(0, NULL) < 0 || setresgid(how->uid, how->uid, how->uid) < 0 ||
			 setresuid(how->uid, how->uid, how->uid) < 0))
		leave_child("user");
	execve(binary(), words, make_environment(how));
	leave_child(binary());
}

static int stream(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_SETFL, O_APPEND) == 0);
	return fd;
}

static struct squall *start(struct stage *stage, const struct squall_how *how, const char *format,
			    va_list args)
{
	static const struct squall_how plainly;
	char line[2048], name[] = "squall", *words[WORDS_MAX + 1] = {name}, *rest;
	struct squall *squall = calloc(1, sizeof(*squall));
	unsigned count = 1, at = 0;

	assert_non_null(squall);
	assert_in_range(vsnprintf(line, sizeof(line), format, args), 1, sizeof(line) - 1);
	for (char *word = strtok_r(line, " ", &rest); word && count < WORDS_MAX;
	     word = strtok_r(NULL, " ", &rest))
		words[count++] = word;
	while (stage->runs[at])
		assert_in_range(++at, 0, STAGE_MEMBERS - 1);
	*squall = (struct squall){.stage = stage,
				  .out = stream("out"),
				  .err = stream("err"),
				  .events = json_array(),
				  .started_ns = clock_now_ns()};
	fflush(NULL);
	squall->pid = fork();
	assert_true(squall->pid >= 0);
	if (squall->pid == 0)
		become(squall, how ? how : &plainly, words);
	stage->runs[at] = squall;
	return squall;
}

struct squall *squall_start(struct stage *stage, const struct squall_how *how, const char *format,
			    ...)
{
	struct squall *squall;
	va_list args;

	va_start(args, format);
	squall = start(stage, how, format, args);
	va_end(args);
	return squall;
}

int squall_call(struct stage *stage, const struct squall_how *how, const char *format, ...)
{
	struct squall *squall;
	va_list args;

	va_start(args, format);
	squall = start(stage, how, format, args);
	va_end(args);
	return squall_await_exit(squall);
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
	squall->guardian = child_named(squall, squall->worker, "squall-guardian");
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
