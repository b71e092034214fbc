/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/filter_watch.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h> /* behind sys/ptrace.h: struct ptrace_syscall_info */

#define AFTER_END_S 10 /* for those that the command leaves behind */
#define LIVE_MAX    4096

/* Those that are traced; other children of this process are nobody's business here. */
struct live {
	pid_t pids[LIVE_MAX];
	unsigned count;
};

static void note_live(struct live *live, pid_t pid, bool is_alive)
{
	for (unsigned i = 0; i < live->count; i++)
		if (live->pids[i] == pid) {
			if (!is_alive)
				live->pids[i] = live->pids[--live->count];
			return;
		}
	if (is_alive && live->count < LIVE_MAX)
		live->pids[live->count++] = pid;
}

const char *const filter_watch_names[FILTER_WATCH_TELLERS] = {"",	  "conductor", "worker",
							      "guardian", "reader",    "tls"};

static const struct sandbox_group *groups_of(enum sandbox_teller teller)
{
	static const struct sandbox_group *const groups[FILTER_WATCH_TELLERS] = {
		[SANDBOX_CONDUCTOR] = sandbox_conductor_groups,
		[SANDBOX_WORKER] = sandbox_worker_groups,
		[SANDBOX_GUARDIAN] = sandbox_guardian_groups,
		[SANDBOX_READER] = sandbox_reader_groups,
		[SANDBOX_TLS] = sandbox_tls_groups,
	};

	return groups[teller];
}

/* Calls that are refused on purpose, and are no mistake. */
static const struct {
	enum sandbox_teller teller;
	long number;
	uint64_t first; /* argument */
	const char *why;
} refused[] = {
	{SANDBOX_CONDUCTOR, SYS_socket, AF_NETLINK,
	 "getaddrinfo(3) asks which families are in use: without an answer it takes both"},
};

const char *filter_watch_why_refused(const struct filter_foreign *foreign)
{
	for (unsigned i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		if (refused[i].teller == foreign->teller && refused[i].number == foreign->number &&
		    refused[i].first == foreign->arguments[0])
			return refused[i].why;
	return NULL;
}

static void note_foreign(struct filter_watch *watch, enum sandbox_teller teller, pid_t pid)
{
	struct ptrace_syscall_info info;
	struct filter_foreign *each = watch->foreign, *end = each + watch->foreign_count;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_SECCOMP)
		return;
	for (; each < end; each++)
		if (each->teller == teller && each->number == (long)info.seccomp.nr &&
		    each->arguments[0] == info.seccomp.args[0] &&
		    each->arguments[1] == info.seccomp.args[1]) {
			each->count++;
			return;
		}
	if (watch->foreign_count == FILTER_WATCH_FOREIGN)
		return;
	*each = (struct filter_foreign){
		.teller = teller, .number = (long)info.seccomp.nr, .count = 1};
	memcpy(each->arguments, info.seccomp.args, sizeof(each->arguments));
	watch->foreign_count++;
}

static void on_told(struct filter_watch *watch, pid_t pid)
{
	enum sandbox_teller teller;
	unsigned long told = 0;
	unsigned rule;

	if (ptrace(PTRACE_GETEVENTMSG, pid, NULL, &told) < 0)
		return;
	sandbox_filter_untell((unsigned)told, &teller, &rule);
	if (teller >= FILTER_WATCH_TELLERS || rule >= FILTER_WATCH_RULES)
		return;
	watch->calls[teller]++;
	if (rule)
		watch->made[teller][rule]++;
	else
		note_foreign(watch, teller, pid);
	if (teller == SANDBOX_WORKER && watch->kill_worker_at && !--watch->kill_worker_at)
		kill(pid, SIGKILL);
}

/* A stopped process is left as the kernel would leave it; it goes on when it is continued. */
static void on_stop(struct filter_watch *watch, pid_t pid, int status)
{
	int signal = WSTOPSIG(status), event = status >> 16;

	if (event == PTRACE_EVENT_SECCOMP)
		on_told(watch, pid);
	if (event == PTRACE_EVENT_STOP && signal != SIGTRAP)
		ptrace(PTRACE_LISTEN, pid, NULL, NULL);
	else
		ptrace(PTRACE_CONT, pid, NULL, (void *)(intptr_t)(event ? 0 : signal));
}

static pid_t start(void (*begin)(void *context), void *context)
{
	const long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
			     PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
	int ready[2];
	char byte;
	pid_t pid;

	fflush(NULL);
	if (pipe(ready) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		close(ready[1]);
		if (read(ready[0], &byte, 1) == 1)
			begin(context);
		_exit(99);
	}
	if (pid < 0 || ptrace(PTRACE_SEIZE, pid, NULL, (void *)options) < 0 ||
	    write(ready[1], "", 1) != 1)
		abort();
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void on_alarm(int signal)
{
	(void)signal; /* waitpid() comes back: that is all */
}

int filter_watch_run(struct filter_watch *watch, void (*begin)(void *context), void *context)
{
	const struct sigaction alarmed = {.sa_handler = on_alarm};
	struct live live = {.pids = {start(begin, context)}, .count = 1};
	pid_t command = live.pids[0], pid;
	int status, code = -1;

	sigaction(SIGALRM, &alarmed, NULL);
	while (live.count && (pid = waitpid(-1, &status, __WALL)) > 0) {
		note_live(&live, pid, WIFSTOPPED(status));
		if (WIFSTOPPED(status)) {
			on_stop(watch, pid, status);
		} else if (pid == command) {
			code = status;
			alarm(AFTER_END_S);
		}
	}
	alarm(0);
	return code;
}

void filter_watch_tell_foreign(const struct filter_watch *watch, enum sandbox_teller teller,
			       FILE *out)
{
	for (unsigned i = 0; i < watch->foreign_count; i++) {
		const struct filter_foreign *foreign = &watch->foreign[i];
		const char *why = filter_watch_why_refused(foreign);
		char *name =
			seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)foreign->number);

		if (foreign->teller == teller)
			fprintf(out,
				"# not in the list of the %s: %s(0x%llx, 0x%llx, 0x%llx), %lu "
				"times%s%s\n",
				filter_watch_names[teller], name ? name : "?",
				(unsigned long long)foreign->arguments[0],
				(unsigned long long)foreign->arguments[1],
				(unsigned long long)foreign->arguments[2], foreign->count,
				why ? "; on purpose: " : "", why ? why : "");
		free(name);
	}
}

unsigned filter_watch_count_foreign(const struct filter_watch *watch, enum sandbox_teller teller)
{
	unsigned count = 0;

	for (unsigned i = 0; i < watch->foreign_count; i++)
		count += watch->foreign[i].teller == teller &&
			 !filter_watch_why_refused(&watch->foreign[i]);
	return count;
}

void filter_watch_tell_idle(const struct filter_watch *watch, enum sandbox_teller teller, FILE *out)
{
	unsigned number = 0;

	for (const struct sandbox_group *group = groups_of(teller); group->purpose; group++) {
		const char *before = "";

		for (const struct sandbox_rule *rule = group->rules; rule->call != SANDBOX_END;
		     rule++) {
			if (watch->made[teller][++number])
				continue;
			if (!*before)
				fprintf(out,
					"# the %s never used (%s): ", filter_watch_names[teller],
					group->purpose);
			fprintf(out, "%s%s", before, rule->text);
			before = ", ";
		}
		if (*before)
			fputc('\n', out);
	}
}
