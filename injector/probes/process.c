/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Probe `process`: does a process live, and how many? Reads /proc, without privileges, cheapest key
 * first. Zombies do not live. What belongs to this very run (the worker, the sudo in front of it)
 * is left out: its command line holds the name of the experiment, and would match for ever.
 */
#include "injector/probes/probe.h"

#include "injector/base/cleanup.h"
#include "injector/base/quantity.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#define COMM_MAX      15 /* TASK_COMM_LEN - 1 */
#define COMMAND_BYTES 4096

enum { PARAM_PID, PARAM_PIDFILE, PARAM_COMMAND, PARAM_USER };
enum { EXPECT_ALIVE, EXPECT_COUNT };

static const struct param process_probe_params[] = {
	[PARAM_PID] = {"pid", PARAM_INTEGER, .min = 1, .max = 1 << 22, .doc = "only this process"},
	[PARAM_PIDFILE] = {"pidfile", PARAM_PATH,
			   .doc = "only the process whose number is in this file, read each time"},
	[PARAM_COMMAND] = {"command", PARAM_PATTERN,
			   .doc = "regular expression over the command line, arguments separated "
				  "by blanks"},
	[PARAM_USER] = {"user", PARAM_NAME, .doc = "only processes of this user, name or number"},
	{0},
};
static const struct param process_probe_expect[] = {
	[EXPECT_ALIVE] = {"alive", PARAM_BOOL,
			  .doc = "whether there is at least one; default: true unless count is "
				 "given"},
	[EXPECT_COUNT] = {"count", PARAM_COMPARE_NUMBER, .doc = "how many there are"},
	{0},
};

struct process {
	const char *name; /* NULL: any */
	pid_t pid;	  /* 0: any */
	const char *pidfile;
	bool has_user, has_pattern, has_count;
	int alive; /* 1, 0; -1: not judged */
	uid_t user;
	regex_t pattern;
	struct compare count;
	char ours[COMMAND_BYTES]; /* our own command line */
	pid_t last;		  /* found before: asked first when one is enough */
};

struct search {
	const struct process *process;
	bool is_one_enough;
	unsigned count;
	pid_t found;
};

static bool is_any(const char *subject)
{
	return strcmp(subject, "*") == 0;
}

static int process_check(const struct probe_spec *spec, struct error *err)
{
	const char *name = spec->subject[0];
	bool is_narrowed = false;

	for (unsigned i = PARAM_PID; i <= PARAM_USER; i++)
		is_narrowed |= params_is_set(&spec->params, i);
	if (!*name)
		return error_set(err, EINVAL, "the name is empty");
	if (is_any(name) && !is_narrowed)
		return error_set(err, EINVAL,
				 "'*' means every process; add pid, pidfile, command or user");
	if (strlen(name) > COMM_MAX)
		return error_set(err, EINVAL,
				 "'%s' is longer than the %d characters that the kernel keeps of a "
				 "name; write '%.*s', or '*' and a command pattern",
				 name, COMM_MAX, COMM_MAX, name);
	if (params_is_set(&spec->params, PARAM_PID) && params_is_set(&spec->params, PARAM_PIDFILE))
		return error_set(err, EINVAL, "pid and pidfile exclude each other");
	return 0;
}

static int find_user(const char *text, uid_t *out, struct error *err)
{
	const struct passwd *known = getpwnam(text);
	int64_t number;

	if (known) {
		*out = known->pw_uid;
		return 0;
	}
	if (quantity_parse_integer(text, &number, NULL) < 0 || number < 0 || number >= UINT32_MAX)
		return error_set(err, ENOENT, "there is no user '%s'", text);
	*out = (uid_t)number;
	return 0;
}

static void process_close(struct probe *probe)
{
	struct process *process = probe->state;

	if (!process)
		return;
	if (process->has_pattern)
		regfree(&process->pattern);
	free(process);
	probe->state = NULL;
}

static int process_open(struct probe *probe, struct error *err)
{
	const struct probe_spec *spec = probe->spec;
	const char *command = params_text(&spec->params, PARAM_COMMAND);
	const char *user = params_text(&spec->params, PARAM_USER);
	struct process *process = probe->state = calloc(1, sizeof(*process));
	int result = 0;

	if (!process)
		return error_errno(err, ENOMEM, "cannot prepare the probe");
	process->name = is_any(spec->subject[0]) ? NULL : spec->subject[0];
	process->pid = (pid_t)params_number(&spec->params, PARAM_PID, 0);
	process->pidfile = params_text(&spec->params, PARAM_PIDFILE);
	process->has_count = probe_compare(&spec->expect, EXPECT_COUNT, &process->count);
	process->alive =
		(int)params_number(&spec->expect, EXPECT_ALIVE, process->has_count ? -1 : 1);
	if (proc_read_command(getpid(), process->ours, sizeof(process->ours)) < 0)
		process->ours[0] = '\0';
	if (user) {
		result = find_user(user, &process->user, err);
		process->has_user = result == 0;
	}
	if (result == 0 && command) {
		result = probe_pattern_compile(command, &process->pattern, err);
		process->has_pattern = result == 0;
	}
	return result;
}

/* The same command line, or a wrapper that ends in it: "sudo squall run x.yaml", "timeout 60 ..."
 */
static bool is_of_this_run(const struct process *process, const char *command)
{
	size_t ours = strlen(process->ours), theirs = strlen(command);

	return ours && theirs >= ours && strcmp(command + theirs - ours, process->ours) == 0 &&
	       (theirs == ours || command[theirs - ours - 1] == ' ');
}

static bool matches(const struct process *process, pid_t pid)
{
	char text[COMMAND_BYTES];
	struct proc_stat stat;
	uid_t user;

	if (process->name &&
	    (proc_read_comm(pid, text, sizeof(text)) < 0 || strcmp(text, process->name) != 0))
		return false;
	if (process->has_user && (proc_read_uid(pid, &user) < 0 || user != process->user))
		return false;
	if (proc_read_command(pid, text, sizeof(text)) < 0 || is_of_this_run(process, text))
		return false;
	if (process->has_pattern && !probe_pattern_matches(&process->pattern, text, strlen(text)))
		return false;
	return proc_read_stat(pid, &stat) == 0 && stat.state != 'Z' && stat.state != 'X';
}

static int count_match(pid_t pid, void *context)
{
	struct search *search = context;

	if (!matches(search->process, pid))
		return 0;
	search->found = pid;
	search->count++;
	return search->is_one_enough;
}

/* A pid to look at; 0: none is there; -1: cannot tell, the reason was given. */
static pid_t read_pidfile(struct probe *probe, const char *path)
{
	char text[32];
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	int64_t pid;

	if (length < 0 && errno == ENOENT)
		return 0;
	if (length < 0) {
		probe_finish(probe, PROBE_UNKNOWN, NAN, "%s: %s", path, strerror(errno));
		return -1;
	}
	text[length] = '\0';
	text[strcspn(text, " \t\r\n")] = '\0';
	if (quantity_parse_integer(text, &pid, NULL) < 0 || pid < 1 || pid > 1 << 22) {
		probe_finish(probe, PROBE_UNKNOWN, NAN, "%s holds no process number", path);
		return -1;
	}
	return (pid_t)pid;
}

/* proc(5), hidepid=: others are invisible to us then, and "none" would be a lie. Pid 1 is always
 * there and never ours. */
static bool is_hidden(void)
{
	char name[PROC_COMM_SIZE];

	return proc_read_comm(1, name, sizeof(name)) < 0;
}

static void judge(struct probe *probe, const struct search *search)
{
	const struct process *process = probe->state;
	const char *subject = probe->spec->subject[0];
	bool is_there = search->count > 0;
	double value = search->count;

	if (process->has_count && !compare_holds(&process->count, value))
		probe_finish(probe, PROBE_FAIL, value, "%u processes, expected %s", search->count,
			     params_text(&probe->spec->expect, EXPECT_COUNT));
	else if (process->alive == 1 && !is_there)
		probe_finish(probe, PROBE_FAIL, value, "no %s%s%sprocess lives",
			     is_any(subject) ? "such" : "'", is_any(subject) ? "" : subject,
			     is_any(subject) ? " " : "' ");
	else if (process->alive == 0 && is_there)
		probe_finish(probe, PROBE_FAIL, value, "process %d lives, expected none",
			     search->found);
	else if (search->is_one_enough && is_there)
		probe_finish(probe, PROBE_PASS, value, "process %d lives", search->found);
	else
		probe_finish(probe, PROBE_PASS, value, "%u process%s", search->count,
			     search->count == 1 ? "" : "es");
}

static int process_start(struct probe *probe, struct error *err)
{
	struct process *process = probe->state;
	struct search search = {.process = process, .is_one_enough = !process->has_count};
	pid_t pid = process->pid;
	int result = 0;

	if (process->pidfile) {
		pid = read_pidfile(probe, process->pidfile);
		if (pid < 0)
			return 0;
	}
	if (pid)
		count_match(pid, &search);
	else if (process->pidfile)
		;
	else if (!search.is_one_enough || !process->last || !count_match(process->last, &search))
		result = proc_each(count_match, &search);
	if (result < 0)
		return error_errno(err, -result, "cannot read /proc");
	process->last = search.found;
	if (is_hidden() && !(search.is_one_enough && search.count))
		probe_finish(probe, PROBE_UNKNOWN, NAN,
			     "/proc hides the processes of others (hidepid)");
	else
		judge(probe, &search);
	return 0;
}

/* An attempt ends within start(): there is never one to cancel. */
static void process_cancel(struct probe *probe)
{
	(void)probe;
}

const struct probe_ops process_probe = {
	.name = "process",
	.summary = "a process lives, or as many as expected",
	.subject_doc = "NAME, or * with further keys",
	.params = process_probe_params,
	.expect = process_probe_expect,
	.check = process_check,
	.open = process_open,
	.start = process_start,
	.cancel = process_cancel,
	.close = process_close,
};
