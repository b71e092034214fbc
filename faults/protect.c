/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The safety rails of process faults. Names alone are no proof, but they err on the safe side: a
 * process that calls itself sshd is spared, and an sshd that renamed itself is found by its
 * executable.
 */
#include "faults/protect.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct critical {
	const char *name; /* a trailing '*' stands for any rest */
	const char *what;
};

/* comm is cut to 15 characters, so are these */
static const struct critical critical_names[] = {
	{"init", "the init of this system"},
	{"systemd", "a service manager"},
	{"systemd-*", "a part of systemd"},
	{"(sd-pam)", "a part of systemd"},
	{"s6-svscan", "a service manager"},
	{"runsvdir", "a service manager"},
	{"sshd", "a way into this machine"},
	{"sshd-*", "a way into this machine"},
	{"dropbear", "a way into this machine"},
	{"dbus-daemon", "the message bus"},
	{"dbus-broker", "the message bus"},
	{"dbus-broker-*", "the message bus"},
	{"containerd", "a container runtime"},
	{"containerd-shim*", "a container runtime"},
	{"dockerd", "a container runtime"},
	{"docker-init", "a container runtime"},
	{"crio", "a container runtime"},
	{"conmon", "a container runtime"},
	{"podman", "a container runtime"},
	{"runc", "a container runtime"},
	{"runc:*", "a container runtime"},
	{"crun", "a container runtime"},
	{"lxc-start", "a container runtime"},
	{"lxc-monitord", "a container runtime"},
	{"lxd", "a container runtime"},
	{"incusd", "a container runtime"},
	{"kubelet", "the node agent of Kubernetes"},
	{"k3s*", "the node agent of Kubernetes"},
	{"rke2", "the node agent of Kubernetes"},
	{"k0s", "the node agent of Kubernetes"},
	{"microk8s*", "the node agent of Kubernetes"},
};

static bool name_matches(const char *pattern, const char *name)
{
	size_t length = strlen(pattern);

	if (pattern[length - 1] == '*')
		return strncmp(pattern, name, length - 1) == 0;
	return strcmp(pattern, name) == 0;
}

static const char *find_critical(const char *name)
{
	for (unsigned i = 0; i < sizeof(critical_names) / sizeof(*critical_names); i++)
		if (name_matches(critical_names[i].name, name))
			return critical_names[i].what;
	return NULL;
}

static bool has_pid(const pid_t *pids, unsigned count, pid_t pid)
{
	for (unsigned i = 0; i < count; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

static void add_own(struct protection *protection, pid_t pid)
{
	struct proc_stat stat;

	if (pid <= 0 || has_pid(protection->ours, protection->our_count, pid))
		return;
	protection->ours[protection->our_count++] = pid;
	/* 0: the session began outside of our pid namespace and says nothing */
	if (proc_read_stat(pid, &stat) == 0 && stat.session > 0)
		protection->sessions[protection->session_count++] = stat.session;
}

static void add_ancestors(struct protection *protection, pid_t pid)
{
	if (pid > 0)
		protection->ancestor_count += proc_ancestors(
			pid, protection->ancestors + protection->ancestor_count, PROTECT_ANCESTORS);
}

void protect_init(struct protection *protection, const struct target_guard *guard,
		  bool allow_critical)
{
	*protection = (struct protection){.allow_critical = allow_critical};
	if (guard) {
		add_own(protection, guard->conductor.pid);
		add_own(protection, guard->worker.pid);
		add_own(protection, guard->guardian.pid);
		protection->guarded_count = protection->our_count;
		add_ancestors(protection, guard->conductor.pid);
	}
	add_own(protection, getpid());
	add_ancestors(protection, getpid());
}

/* Not by control group: with systemd all that somebody started since the login is in one, and the
 * server that is to be killed may be among it. (A group that squall is in is not frozen as a
 * whole.)
 */
/* Probes and commands started for the run: killing them would falsify its result. */
static bool descends_from_us(const struct protection *protection, pid_t pid)
{
	pid_t parents[PROTECT_ANCESTORS];
	unsigned count;

	if (!protection->guarded_count)
		return false;
	count = proc_ancestors(pid, parents, PROTECT_ANCESTORS);
	for (unsigned i = 0; i < count; i++)
		if (has_pid(protection->ours, protection->guarded_count, parents[i]))
			return true;
	return false;
}

static const char *never(const struct protection *protection, const struct proc_stat *stat)
{
	pid_t inner;

	if (stat->is_kernel_thread)
		return "is a kernel thread";
	if (stat->pid == 1)
		return "is pid 1, on which the whole system hangs";
	if (has_pid(protection->ours, protection->our_count, stat->pid))
		return "is squall itself";
	if (has_pid(protection->ancestors, protection->ancestor_count, stat->pid))
		return "is a parent of squall";
	if (has_pid(protection->sessions, protection->session_count, stat->session))
		return "is in the session squall was started from (setsid gives it one of its own)";
	if (descends_from_us(protection, stat->pid))
		return "was started by squall";
	if (!protection->means_containers && proc_read_inner_pid(stat->pid, &inner) == 0 &&
	    inner == 1)
		return "is pid 1 of its pid namespace: the whole container hangs on it (if that is "
		       "meant, select it by `container`)";
	return NULL;
}

enum protect_level protect_check(const struct protection *protection, const struct proc_stat *stat,
				 char *out_why, size_t size)
{
	char exe[PATH_MAX];
	const char *why = never(protection, stat), *what, *base;

	if (why) {
		snprintf(out_why, size, "%s", why);
		return PROTECT_ALWAYS;
	}
	if (protection->allow_critical)
		return PROTECT_NONE;
	what = find_critical(stat->comm);
	if (!what && proc_read_exe(stat->pid, exe, sizeof(exe)) == 0) {
		base = strrchr(exe, '/');
		what = find_critical(base ? base + 1 : exe);
	}
	if (!what)
		return PROTECT_NONE;
	snprintf(out_why, size, "is %s", what);
	return PROTECT_CRITICAL;
}
