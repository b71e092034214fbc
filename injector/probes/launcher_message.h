/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Private to the launcher: what launcher.c (in the conductor) and launcher_child.c say to each
 * other over a SOCK_SEQPACKET pair, in messages of fixed size, and the parts of the child.
 */
#ifndef SQUALL_LAUNCHER_MESSAGE_H
#define SQUALL_LAUNCHER_MESSAGE_H

#include "injector/probes/launcher.h"

#include <stddef.h>
#include <sys/resource.h>

#define LAUNCHER_COMMANDS_MAX 2048
#define LAUNCHER_INPUT_MAX    4096	/* PIPE_BUF: it fits into a pipe that nobody reads yet */
#define LAUNCHER_TEXT_MAX     (1 << 20) /* bytes of one command; the kernel takes about 2 MiB */

enum launcher_op {
	LAUNCHER_ADD,	 /* before the seal: begins the next command, of `length` bytes of text */
	LAUNCHER_TEXT,	 /* before the seal: the next bytes of it: directory, arguments, NUL after
			    each */
	LAUNCHER_SEAL,	 /* from here on only the following are accepted */
	LAUNCHER_INPUT,	 /* `length` bytes more for the standard input of the next run */
	LAUNCHER_RUN,	 /* number, run, timeout_ns */
	LAUNCHER_CANCEL, /* run */
};

enum launcher_flags {
	LAUNCHER_OWN_ENVIRONMENT = 1 << 0,
	LAUNCHER_JOINED_ERRORS = 1 << 1, /* standard error is output; not with the flag above */
};

struct launcher_request {
	uint32_t op; /* enum launcher_op */
	uint32_t number;
	uint32_t flags;
	uint32_t length;
	uint64_t run; /* names one run: the answer to a cancelled one is told from a live one */
	int64_t timeout_ns;
	char data[216];
};

struct launcher_reply {
	uint64_t run; /* 0: the launcher is ready (status 0) or cannot serve (reason in output) */
	struct launcher_result result;
};

/* launcher_child.c: gives up the caller's rights, then serves `socket` until the other end or the
 * process `parent` is gone (0: it lives apart). Returns the exit status of the process. */
int launcher_child_main(int socket, pid_t parent, uid_t uid, gid_t gid);

/* launcher_exec.c: the user that commands run as, and starting one. ------------------------------
 */

struct launcher_command {
	char *text;    /* directory ("": as is), then the arguments; NUL after each */
	size_t length; /* of text */
	size_t filled; /* bytes that have arrived */
	char **argv;   /* into text; NULL until all has arrived */
	bool own_environment, has_joined_errors;
};

struct launcher_user {
	char *environment[6]; /* clean, owned */
	unsigned environment_count;
	struct rlimit descriptors; /* for commands: the launcher raises its own */
};

/* Becomes uid/gid for good, and verifies it; 0 changes nothing. */
int launcher_become(uid_t uid, gid_t gid, struct launcher_user *out, struct error *err);
/* Forks and executes. *out_output: read end of its standard output (-1 with its own environment).
 * *out_trouble: read end; holds text, once the process has ended, if it could not be started. */
struct launcher_input {
	size_t length; /* 0: /dev/null */
	char bytes[LAUNCHER_INPUT_MAX];
};
int launcher_spawn(const struct launcher_command *command, const struct launcher_user *user,
		   uint64_t run, const struct launcher_input *input, pid_t *out_pid,
		   int *out_output, int *out_trouble, struct error *err);

/* launcher_kill.c: descendants, found by reading /proc. ------------------------------------------
 */

/* In the environment of each probe command, with the number of the run. */
#define LAUNCHER_MARK "SQUALL_PROBE_RUN"

/* SIGKILL to `pid`, a child of the caller that is not reaped, and its descendants. */
void launcher_kill_tree(pid_t pid);

/* A process and its descendants, pinned; zeroed means none. */
struct launcher_tree {
	unsigned count, capacity;
	struct launcher_member {
		pid_t pid;
		int pidfd;
	} * members;
};
/* Pins them and sends SIGTERM to all. */
void launcher_tree_terminate(struct launcher_tree *tree, pid_t pid);
bool launcher_tree_has_ended(const struct launcher_tree *tree);
/* SIGKILL to those that have not ended, and to what they started since. */
void launcher_tree_kill(const struct launcher_tree *tree);
void launcher_tree_clear(struct launcher_tree *tree);

/* SIGKILL to those children of the caller, and their descendants, that carry the mark of `run`; of
 * any run when 0. Returns how many such children there were, with those it
 * cannot tell yet. */
unsigned launcher_kill_marked(uint64_t run);

/* launcher_runs.c: the commands that run. --------------------------------------------------------
 */

struct run;

struct launcher_server {
	struct loop *loop;
	int socket, parent_pidfd, signal_fd;
	bool is_apart; /* no parent_pidfd; daemons of its commands outlive it */
	struct launcher_user user;
	struct launcher_command *commands;
	unsigned count;
	struct launcher_input input; /* for the next run */
	bool is_sealed, is_ending;
	int64_t give_up_ns; /* once it is ending */
	struct run *runs;
};

/* Answers with the reason when it cannot be started. */
void launcher_runs_start(struct launcher_server *server, const struct launcher_request *request);
/* Kills it; there is no answer any more. */
void launcher_runs_cancel(struct launcher_server *server, uint64_t run);
void launcher_runs_kill_all(struct launcher_server *server);
/* After SIGCHLD: answers for those that have ended. */
void launcher_runs_reap(struct launcher_server *server);
/* There is room in the socket again. */
void launcher_runs_settle(struct launcher_server *server);
/* launcher_child.c: also calls launcher_runs_settle() once there is room. */
void launcher_child_watch(struct launcher_server *server, bool for_room);

#endif
