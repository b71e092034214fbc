/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Order and cost, measured for 10,000 processes: user 5 ms (a stat of the directory), name 26, exe
 * 29, cgroup 41, command 42, stat 48, descriptors 144.
 */
#include "faults/process_match.h"

#include "faults/target.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/namespace.h"
#include "injector/kernel/socket_owner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int find_user(const char *name, uid_t *out, struct error *err)
{
	struct passwd entry, *found = NULL;
	char buffer[16384], *end;
	unsigned long number;
	int code = getpwnam_r(name, &entry, buffer, sizeof(buffer), &found);

	if (found) {
		*out = found->pw_uid;
		return 0;
	}
	errno = 0;
	number = strtoul(name, &end, 10);
	/* (uid_t)-1 means "nobody at all" to the kernel */
	if (name[0] >= '0' && name[0] <= '9' && !*end && !errno && number < UINT32_MAX) {
		*out = (uid_t)number;
		return 0;
	}
	if (code && code != ENOENT && code != ESRCH)
		return error_errno(err, code, "cannot look up user '%s'", name);
	return error_set(err, ENOENT, "there is no user '%s'", name);
}

static int read_pidfile(const char *path, pid_t *out, struct timespec *out_written,
			struct error *err)
{
	/* O_NONBLOCK: a named pipe must not hang us */
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;
	char text[64], *end;
	ssize_t got;
	long pid;

	if (fd < 0 || fstat(fd, &status) < 0)
		return error_errno(err, errno, "pidfile %s", path);
	if (!S_ISREG(status.st_mode))
		return error_set(err, EINVAL, "pidfile %s is not a regular file", path);
	got = read(fd, text, sizeof(text) - 1);
	if (got < 0)
		return error_errno(err, errno, "pidfile %s", path);
	text[got] = '\0';
	pid = strtol(text, &end, 10);
	if (end == text || (*end && *end != '\n' && *end != ' ') || pid < 1 || pid > INT_MAX)
		return error_set(err, EINVAL, "pidfile %s holds no process number", path);
	*out = (pid_t)pid;
	*out_written = status.st_mtim;
	return 0;
}

/* A process younger than the file that names it has inherited the number of a dead one. */
static int check_pidfile_age(const char *path, pid_t pid, const struct timespec *written,
			     struct error *err)
{
	const int64_t slack_ns = 2 * NSEC_PER_SEC; /* clock ticks, coarse file times, small steps */
	int64_t started_ns, written_ns;
	struct proc_stat stat;

	if (proc_read_stat(pid, &stat) < 0)
		return 0; /* told later, as for any process that is gone */
	started_ns = (int64_t)stat.start_time * (NSEC_PER_SEC / sysconf(_SC_CLK_TCK)) +
		     clock_wall_ns() - clock_now_ns();
	written_ns = written->tv_sec * NSEC_PER_SEC + written->tv_nsec;
	if (started_ns <= written_ns + slack_ns)
		return 0;
	proc_make_printable(stat.comm);
	error_set(err, ESTALE,
		  "pidfile %s is stale: process %d (%s) started %" PRId64
		  " s after the file was written",
		  path, pid, stat.comm, (int64_t)((started_ns - written_ns) / NSEC_PER_SEC));
	return error_remedy(err, "say which process is meant: add `name:` or `exe:`");
}

static bool has_candidate(const struct process_match *match, pid_t pid)
{
	for (unsigned i = 0; i < match->candidate_count; i++)
		if (match->candidates[i] == pid)
			return true;
	return false;
}

static int take_pids(struct process_match *match, struct error *err)
{
	unsigned count = params_count(match->params, PROCESS_PID);

	match->candidates = calloc(count, sizeof(*match->candidates));
	if (!match->candidates)
		return error_errno(err, ENOMEM, "cannot keep %u processes", count);
	for (unsigned i = 0; i < count; i++) {
		pid_t pid = (pid_t)params_value(match->params, PROCESS_PID, i)->number;

		if (!has_candidate(match, pid))
			match->candidates[match->candidate_count++] = pid;
	}
	return 0;
}

static int take_pidfile(struct process_match *match, struct error *err)
{
	const char *path = params_text(match->params, PROCESS_PIDFILE);
	struct timespec written = {0};
	pid_t pid = 0;
	int result = read_pidfile(path, &pid, &written, err);

	/* with another key the process is known by more than its number */
	if (result == 0 && !params_is_set(match->params, PROCESS_NAME) &&
	    !params_is_set(match->params, PROCESS_EXE) &&
	    !params_is_set(match->params, PROCESS_COMMAND))
		result = check_pidfile_age(path, pid, &written, err);
	if (result < 0)
		return result;
	if (match->has_candidates && !has_candidate(match, pid))
		return error_set(err, ENOENT, "pidfile %s names process %d, which `pid` does not",
				 path, pid);
	if (!match->candidates)
		match->candidates = calloc(1, sizeof(*match->candidates));
	if (!match->candidates)
		return error_errno(err, ENOMEM, "cannot keep a process");
	match->candidates[0] = pid;
	match->candidate_count = 1;
	return 0;
}

static int open_namespace(const char *name, int *out_fd, struct error *err)
{
	char *end;
	long pid;

	if (strncmp(name, "pid:", 4) != 0)
		return namespace_open_name(name, out_fd, err);
	pid = strtol(name + 4, &end, 10);
	if (end == name + 4 || *end || pid < 1 || pid > INT_MAX)
		return error_set(err, EINVAL, "'%s' is not pid:N", name);
	return namespace_open_pid((pid_t)pid, out_fd, err);
}

static int take_port(struct process_match *match, struct error *err)
{
	const struct param_value *port = params_value(match->params, PROCESS_PORT, 0);
	const char *name = params_text(match->params, PROCESS_NAMESPACE);
	cleanup_fd int fd = -1;
	int result = name ? open_namespace(name, &fd, err) : 0;

	if (result == 0)
		result = socket_owner_inodes(fd, port->ports.first, port->ports.last,
					     &match->inodes, &match->inode_count, err);
	if (result < 0)
		return error_prefix(err, "port %s", port->text);
	if (match->inode_count)
		return 0;
	error_set(err, ENOENT, "nobody listens on port %s in %s%s", port->text,
		  name ? "network namespace " : "this network namespace", name ? name : "");
	return error_remedy(err, "`ss -ltnup` shows who listens; `namespace:` looks elsewhere");
}

static bool is_empty(const struct params *params)
{
	for (unsigned i = PROCESS_PID; i <= PROCESS_PORT; i++)
		if (params_is_set(params, i))
			return false;
	return true;
}

/* No process is in two groups. */
static int take_members(struct process_match *match, const struct cgroup *group, struct error *err)
{
	cleanup_free pid_t *pids = NULL;
	pid_t *grown;
	unsigned count = 0;
	int result = cgroup_members(group, &pids, &count, NULL, err);

	if (result < 0 || !count)
		return result;
	grown = reallocarray(match->candidates, match->candidate_count + count, sizeof(*grown));
	if (!grown)
		return error_errno(err, ENOMEM, "cannot keep %u processes", count);
	memcpy(grown + match->candidate_count, pids, count * sizeof(*grown));
	match->candidates = grown;
	match->candidate_count += count;
	return 0;
}

static int take_candidates(struct process_match *match, struct error *err)
{
	int result = 0;

	if (params_is_set(match->params, PROCESS_PID)) {
		result = take_pids(match, err);
		match->has_candidates = true;
	}
	if (result == 0 && params_is_set(match->params, PROCESS_PIDFILE)) {
		result = take_pidfile(match, err);
		match->has_candidates = true;
	}
	match->is_explicit = match->has_candidates;
	if (result < 0 || !process_match_has_groups(match->params))
		return result;
	match->has_groups = true;
	result = process_match_groups(match->params, &match->groups, &match->group_count, err);
	if (result < 0 || match->has_candidates)
		return result;
	match->has_candidates = true;
	for (unsigned i = 0; result == 0 && i < match->group_count; i++)
		result = take_members(match, &match->groups[i], err);
	return result;
}

static void take_exe(struct process_match *match)
{
	const char *given = params_text(match->params, PROCESS_EXE);
	cleanup_free char *real = given ? realpath(given, NULL) : NULL;

	/* /proc shows the file behind links such as /bin -> /usr/bin; a deleted one has only its
	 * name */
	snprintf(match->exe, sizeof(match->exe), "%s", real ? real : given ? given : "");
}

int process_match_init(struct process_match *match, const struct params *params, struct error *err)
{
	int result;

	*match = (struct process_match){.params = params};
	if (is_empty(params)) {
		error_set(err, EINVAL, "the selector names no process");
		return error_remedy(err, "give at least one of pid, pidfile, name, exe, command, "
					 "user, cgroup, unit, container, port");
	}
	if (params_is_set(params, PROCESS_NAMESPACE) && !params_is_set(params, PROCESS_PORT))
		return error_set(
			err, EINVAL,
			"`namespace` says where `port` is looked up, but there is no `port`");
	if (params_is_set(params, PROCESS_USER)) {
		result = find_user(params_text(params, PROCESS_USER), &match->uid, err);
		if (result < 0)
			return result;
	}
	if (params_is_set(params, PROCESS_COMMAND)) {
		if (regcomp(&match->command, params_text(params, PROCESS_COMMAND),
			    REG_EXTENDED | REG_NOSUB))
			return error_set(err, EINVAL, "command: '%s' is not a regular expression",
					 params_text(params, PROCESS_COMMAND));
		match->has_command = true;
	}
	take_exe(match);
	result = take_candidates(match, err);
	if (result == 0 && params_is_set(params, PROCESS_PORT))
		result = take_port(match, err);
	return result;
}

void process_match_release(struct process_match *match)
{
	if (match->has_command)
		regfree(&match->command);
	free(match->candidates);
	free(match->groups);
	free(match->inodes);
	*match = (struct process_match){0};
}

void process_match_describe(const struct params *params, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned i = PROCESS_PID; i <= PROCESS_NAMESPACE; i++)
		for (unsigned j = 0; j < params_count(params, i) && used < size; j++)
			used += (size_t)snprintf(out + used, size - used, "%s%s '%s'",
						 used ? ", " : "", params->table[i].name,
						 params_value(params, i, j)->text);
}
