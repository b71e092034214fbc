/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Becoming the invoking user, and starting one command as that user: nothing of the launcher may
 * leak into it (descriptors, signal mask, limits, session), and no shell is ever involved, not even
 * for a script without a #! line (execvp() would call one).
 */
#include "injector/probes/launcher_message.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/stat.h>

#define CLEAN_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define TROUBLE_FD 3 /* in the command, until its exec closes it */

static bool add_variable(struct launcher_user *user, const char *name, const char *value)
{
	char **slot = &user->environment[user->environment_count];

	if (asprintf(slot, "%s=%s", name, value) < 0) {
		*slot = NULL;
		return false;
	}
	user->environment_count++;
	return true;
}

static int drop(uid_t uid, gid_t gid, const char *name, struct error *err)
{
	uid_t real, effective, saved;
	gid_t real_group, effective_group, saved_group;

	if ((name ? initgroups(name, gid) : setgroups(1, &gid)) < 0)
		return error_errno(err, errno, "cannot set the groups of user %u", uid);
	if (setresgid(gid, gid, gid) < 0)
		return error_errno(err, errno, "cannot become group %u", gid);
	if (setresuid(uid, uid, uid) < 0)
		return error_errno(err, errno, "cannot become user %u", uid);
	if (getresuid(&real, &effective, &saved) < 0 ||
	    getresgid(&real_group, &effective_group, &saved_group) < 0)
		return error_errno(err, errno, "cannot verify the user");
	if (real != uid || effective != uid || saved != uid || real_group != gid ||
	    effective_group != gid || saved_group != gid || setuid(0) == 0)
		return error_set(err, EPERM, "root could not be given up for user %u", uid);
	return 0;
}

/* The name of a locale and nothing else: no path to one of the caller's. */
static bool is_locale(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._@-";

	return text && *text && strlen(text) < 64 && strspn(text, allowed) == strlen(text);
}

int launcher_become(uid_t uid, gid_t gid, struct launcher_user *out, struct error *err)
{
	const struct passwd *known = getpwuid(uid); /* before the drop: may need root's rights */
	const char *lang = getenv("LANG");
	char number[16];

	snprintf(number, sizeof(number), "%u", uid);
	*out = (struct launcher_user){0};
	if (!add_variable(out, "PATH", CLEAN_PATH) ||
	    !add_variable(out, "LANG", is_locale(lang) ? lang : "C.UTF-8") ||
	    !add_variable(out, "HOME", known ? known->pw_dir : "/") ||
	    !add_variable(out, "USER", known ? known->pw_name : number) ||
	    !add_variable(out, "LOGNAME", known ? known->pw_name : number))
		return error_errno(err, ENOMEM, "cannot prepare an environment");
	if (uid == 0 || (geteuid() != 0 && uid == getuid()))
		return 0;
	return drop(uid, gid, known ? known->pw_name : NULL, err);
}

/* From here on: in the forked child, which ends in exec or in fail(). */

static void fail(const char *format, const char *object, const char *reason)
	__attribute__((noreturn));

static void fail(const char *format, const char *object, const char *reason)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	dprintf(TROUBLE_FD, format, object, reason);
#pragma GCC diagnostic pop
	_exit(127);
}

/* Why exec said ENOENT although the file is there: the kernel means the interpreter. */
static const char *explain(const char *path, int code)
{
	if (code == ENOENT && access(path, F_OK) == 0)
		return "its interpreter (the #! line, or the loader) does not exist";
	if (code == ENOEXEC)
		return "neither a program nor a script with a #! line";
	return strerror(code);
}

static void execute(char **argv, char **environment, const char *search)
{
	char path[PATH_MAX];
	int code = ENOENT;

	if (strchr(argv[0], '/')) {
		execve(argv[0], argv, environment);
		fail("cannot start '%s': %s", argv[0], explain(argv[0], errno));
	}
	while (search && *search) {
		int length = (int)strcspn(search, ":");

		/* an empty entry means the current directory to a shell; not here */
		if (length && (size_t)snprintf(path, sizeof(path), "%.*s/%s", length, search,
					       argv[0]) < sizeof(path)) {
			execve(path, argv, environment);
			if (errno != ENOENT && errno != ENOTDIR)
				code = errno;
			else if (access(path, F_OK) == 0)
				fail("cannot start '%s': %s", path, explain(path, ENOENT));
		}
		search += length + (search[length] == ':');
	}
	if (code == ENOENT)
		fail("cannot start '%s': %s", argv[0], "no such program in PATH");
	fail("cannot start '%s': %s", argv[0], explain("", code));
}

/* Standard streams and nothing else stay open; TROUBLE_FD until the exec. */
static void arrange_descriptors(const struct launcher_command *command, int input, int output,
				int trouble)
{
	int null_fd;

	/* first: it may be where TROUBLE_FD shall be */
	if (input >= 0 && dup2(input, STDIN_FILENO) < 0)
		_exit(127);

	if (trouble == TROUBLE_FD)
		fcntl(trouble, F_SETFD, FD_CLOEXEC);
	else if (output == TROUBLE_FD)
		output = dup(output);
	if (trouble != TROUBLE_FD && dup3(trouble, TROUBLE_FD, O_CLOEXEC) < 0)
		_exit(127);
	if (!command->own_environment) {
		null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (null_fd < 0)
			fail("cannot open '%s': %s", "/dev/null", strerror(errno));
		if ((input < 0 && dup2(null_fd, STDIN_FILENO) < 0) ||
		    dup2(command->has_joined_errors ? output : null_fd, STDERR_FILENO) < 0 ||
		    dup2(output, STDOUT_FILENO) < 0)
			fail("cannot arrange the %s: %s", "standard streams", strerror(errno));
	}
	if (close_range(TROUBLE_FD + 1, ~0U, 0) < 0)
		fail("cannot close the %s: %s", "launcher's descriptors", strerror(errno));
}

static void reset_signals(void)
{
	static const unsigned long default_action[4]; /* struct sigaction of the kernel */
	unsigned long none = 0;

	/* Past glibc, which refuses its own two, 32 and 33: make(1) hands them down ignored. */
	for (int number = 1; number < NSIG; number++)
		syscall(SYS_rt_sigaction, number, default_action, NULL, sizeof(none));
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
}

static void become_command(const struct launcher_command *command, const struct launcher_user *user,
			   uint64_t run, int input, int output, int trouble)
	__attribute__((noreturn));

static void become_command(const struct launcher_command *command, const struct launcher_user *user,
			   uint64_t run, int input, int output, int trouble)
{
	char *environment[8] = {NULL}, mark[48];
	const char *search = command->own_environment ? getenv("PATH") : CLEAN_PATH;

	arrange_descriptors(command, input, output, trouble);
	reset_signals();
	setrlimit(RLIMIT_NOFILE, &user->descriptors);
	memcpy(environment, user->environment, sizeof(user->environment));
	snprintf(mark, sizeof(mark), LAUNCHER_MARK "=%llu", (unsigned long long)run);
	environment[user->environment_count] = mark;
	if (!command->own_environment) {
		setsid();
		umask(022);
	}
	if (command->text[0] && chdir(command->text) < 0)
		fail("cannot enter directory '%s': %s", command->text, strerror(errno));
	execute(command->argv, command->own_environment ? environ : environment, search);
	_exit(127);
}

/* A regular file that somebody may execute, seen with the rights of the user who called sudo. */
static bool is_program(const char *path)
{
	cleanup_fd int fd = sandbox_open_as_caller(path, O_PATH | O_CLOEXEC, NULL);
	struct stat about;

	return fd >= 0 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode) &&
	       (about.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH));
}

int launcher_find_program(const char *name, struct error *err)
{
	const char *search = getenv("PATH");
	char path[PATH_MAX];

	if (strchr(name, '/') && is_program(name))
		return 0;
	while (!strchr(name, '/') && search && *search) {
		int length = (int)strcspn(search, ":");

		if (length &&
		    (size_t)snprintf(path, sizeof(path), "%.*s/%s", length, search, name) <
			    sizeof(path) &&
		    is_program(path))
			return 0;
		search += length + (search[length] == ':');
	}
	error_set(err, ENOENT, "there is no program '%s'%s", name,
		  strchr(name, '/') ? "" : " in PATH");
	return error_remedy(err, "sudo may have changed PATH: write the whole path of the program");
}

/* A pipe that holds it already. */
static int open_input(const struct launcher_input *input, struct error *err)
{
	cleanup_fd int reading = -1, writing = -1;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, errno, "cannot make a pipe");
	reading = ends[0];
	writing = ends[1];
	if (write(writing, input->bytes, input->length) != (ssize_t)input->length)
		return error_errno(err, errno, "cannot fill a pipe");
	return steal_fd(&reading);
}

int launcher_spawn(const struct launcher_command *command, const struct launcher_user *user,
		   uint64_t run, const struct launcher_input *input, pid_t *out_pid,
		   int *out_output, int *out_trouble, struct error *err)
{
	cleanup_fd int output_read = -1, output_write = -1, trouble_read = -1, trouble_write = -1;
	cleanup_fd int input_read = -1;
	int ends[2];
	pid_t pid;

	if (input->length && !command->own_environment) {
		input_read = open_input(input, err);
		if (input_read < 0)
			return error_prefix(err, "cannot start '%s'", command->argv[0]);
	}
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, errno, "cannot start '%s'", command->argv[0]);
	trouble_read = ends[0];
	trouble_write = ends[1];
	if (!command->own_environment) {
		if (pipe2(ends, O_CLOEXEC) < 0)
			return error_errno(err, errno, "cannot start '%s'", command->argv[0]);
		output_read = ends[0];
		output_write = ends[1];
		/* only our end: the command's own must block as it expects */
		fcntl(output_read, F_SETFL, O_NONBLOCK);
	}
	fcntl(trouble_read, F_SETFL, O_NONBLOCK);
	pid = fork();
	if (pid == 0)
		become_command(command, user, run, input_read, output_write, trouble_write);
	if (pid < 0)
		return error_errno(err, errno, "cannot start '%s'", command->argv[0]);
	*out_pid = pid;
	*out_output = steal_fd(&output_read);
	*out_trouble = steal_fd(&trouble_read);
	return 0;
}
