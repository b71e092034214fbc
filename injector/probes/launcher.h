/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The launcher: a small process, forked before the conductor gives up its rights, that starts the
 * commands of an experiment as the invoking user (never as root unless root itself called). It
 * accepts commands until launcher_seal(), afterwards only "run number N": a conductor under
 * somebody's control cannot start anything else. No shell. Fixed-size messages.
 */
#ifndef SQUALL_LAUNCHER_H
#define SQUALL_LAUNCHER_H

#include "injector/base/error.h"
#include "injector/base/loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct launcher;

struct launcher_result {
	int status; /* as of waitpid(); -1: could not be started, see text */
	bool timed_out;
	char output[3072]; /* start of standard output, NUL-terminated; or the reason */
};
typedef void (*launcher_fn)(void *context, const struct launcher_result *result);

/* Forks; call while single-threaded. Processes that the caller forks later hold a copy of the
 * launcher's socket: harmless (death is seen by pidfd), but they had better close it. `uid`/`gid`
 * are the invoking user's; with 0 nothing is dropped. */
int launcher_new(uid_t uid, gid_t gid, struct launcher **out, struct error *err);
/* One that lives as long as anybody holds its socket, whatever becomes of the caller; what its
 * commands leave behind (daemons) stays. Sealed without a loop, and asked as below. */
int launcher_new_apart(uid_t uid, gid_t gid, struct launcher **out, struct error *err);
int launcher_socket(const struct launcher *launcher); /* stays the launcher's */
/* Frees what the caller has of one apart; it goes on while somebody else holds its socket. */
void launcher_leave(struct launcher *launcher);
/* For whoever wants to look at it. */
pid_t launcher_pid(const struct launcher *launcher);
/* Where commands with a clean environment start; relative program paths are relative to it.
 * Default: as is. Before launcher_seal() only; holds for the commands added afterwards with
 * directory NULL. */
int launcher_set_directory(struct launcher *launcher, const char *directory, struct error *err);
/* Registers a command and returns its number (>= 0). Before launcher_seal() only.
 * `own_environment`: keep the environment (run -- COMMAND) and standard streams; otherwise a clean
 * one (PATH, LANG, HOME, USER, LOGNAME) with /dev/null as input and error. `directory`: NULL: as is
 */
int launcher_add(struct launcher *launcher, char *const argv[], bool own_environment,
		 const char *directory, struct error *err);
/* The same in / with a clean environment, and what it writes to standard error is output as well.
 */
int launcher_add_tool(struct launcher *launcher, char *const argv[], struct error *err);
/* Would it be found? In the PATH of our own environment, with the rights of the user who called
 * sudo. -ENOENT: no. */
int launcher_find_program(const char *name, struct error *err);
/* `loop`: NULL for one apart. */
int launcher_seal(struct launcher *launcher, struct loop *loop, struct error *err);
/* Starts command `number`, kills its process group after timeout_ns (<= 0: never). fn is called
 * once, from the loop; -EBUSY when that command is running already, -ESRCH when the launcher has
 * died. Ends are by SIGKILL for a clean environment; with its own environment a command shares our
 * process group, so its descendants get SIGTERM, then SIGKILL after a second. */
int launcher_run(struct launcher *launcher, int number, int64_t timeout_ns, launcher_fn fn,
		 void *context, struct error *err);
/* The same with something on its standard input: at most 4 KiB, what is longer is cut. */
int launcher_run_with(struct launcher *launcher, int number, const char *input, int64_t timeout_ns,
		      launcher_fn fn, void *context, struct error *err);
/* Kills the process group of a running command; fn is not called any more. */
void launcher_cancel(struct launcher *launcher, int number);
/* Ends the launcher and everything it started: running commands, and what probe commands left
 * behind (daemons too). What an ended COMMAND left behind is left alone. Waits at most three
 * seconds. */
void launcher_free(struct launcher *launcher);

/* launcher_apart.c: asking one apart, by any process that holds its socket. Neither waits. `run` is
 * a name that the asking processes use once, not 0. */
int launcher_post(int socket, uint32_t number, uint64_t run, int64_t timeout_ns, struct error *err);
void launcher_withdraw(int socket, uint64_t run); /* kills it; there is no answer any more */
/* 1: the answer to some run; 0: none until then (CLOCK_BOOTTIME, 0: do not wait); -ESRCH: it is
 * gone. */
int launcher_hear(int socket, int64_t until_ns, uint64_t *out_run, struct launcher_result *out);

#endif
