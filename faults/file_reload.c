/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Telling a service to read its file again, from any process: by a signal to the process of a pid
 * file, by a request to systemd, or by a command, which others start (faults/command.h). Whom a pid
 * file names is checked against the same rails as a process that a fault would kill.
 */
#include "faults/file.h"

#include "faults/warden.h"
#include "injector/base/shell_word.h"
#include "injector/journal/crc32.h"
#include "injector/kernel/proc.h"
#include "injector/kernel/systemd.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static enum file_reload_kind kind_of(const struct params *params)
{
	if (params_is_set(params, FILE_RELOAD_PIDFILE))
		return FILE_RELOAD_BY_SIGNAL;
	if (params_is_set(params, FILE_RELOAD_UNIT))
		return FILE_RELOAD_BY_UNIT;
	return params_is_set(params, FILE_RELOAD_COMMAND) ? FILE_RELOAD_BY_COMMAND
							  : FILE_RELOAD_NONE;
}

/* ---- What may be asked for ---- */

static int check_signal(const struct params *params, struct error *err)
{
	int number = (int)params_number(params, FILE_RELOAD_SIGNAL, 0);

	if (!params_is_set(params, FILE_RELOAD_SIGNAL))
		return 0;
	if (!params_is_set(params, FILE_RELOAD_PIDFILE))
		return error_set(err, EINVAL,
				 "`reload-signal` needs `reload-pidfile`, which says whom");
	if (number == SIGKILL || number == SIGSTOP || number == SIGTSTP || number == SIGTTIN ||
	    number == SIGTTOU) {
		error_set(err, EINVAL, "reload-signal: SIG%s makes nobody read a file",
			  signal_name(number));
		return error_remedy(err, "HUP or USR2, as the manual of the service says");
	}
	return 0;
}

static int check_command(const struct params *params, struct error *err)
{
	const char *program = params_text(params, FILE_RELOAD_COMMAND);
	unsigned count = params_count(params, FILE_RELOAD_COMMAND);
	size_t size = 0;

	if (!program)
		return 0;
	/* rules of the site are about paths: there must be one way only to write one */
	if (program[0] != '/' || strstr(program, "//") || strstr(program, "/./") ||
	    strstr(program, "/../")) {
		error_set(err, EINVAL,
			  "reload-command: '%.100s' is not the whole path of a program", program);
		return error_remedy(err, "as a list, there is no shell: [/usr/sbin/nginx, -s, "
					 "reload]");
	}
	if (count == 1 && strchr(program, ' ')) {
		error_set(err, EINVAL, "reload-command: '%.100s' is one word: there is no shell",
			  program);
		return error_remedy(err, "a list of its words: [/usr/sbin/nginx, -s, reload]");
	}
	for (unsigned i = 0; i < count; i++)
		size += strlen(params_value(params, FILE_RELOAD_COMMAND, i)->text) + 1;
	if (count > FAULT_COMMAND_ARGUMENTS || size > FILE_COMMAND_MAX)
		return error_set(err, E2BIG,
				 "reload-command: more than %d words, or %d bytes in all",
				 FAULT_COMMAND_ARGUMENTS, FILE_COMMAND_MAX);
	return 0;
}

int file_reload_check(const struct params *params, struct error *err)
{
	int kinds = params_is_set(params, FILE_RELOAD_PIDFILE) +
		    params_is_set(params, FILE_RELOAD_UNIT) +
		    params_is_set(params, FILE_RELOAD_COMMAND);
	int result = 0;

	if (kinds > 1)
		return error_set(err, EINVAL,
				 "`reload-pidfile`, `reload-unit` and `reload-command` all say who "
				 "reads the file again; give one");
	result = check_signal(params, err);
	return result == 0 ? check_command(params, err) : result;
}

bool file_reload_argv(const struct params *params, char *argv[FAULT_COMMAND_ARGUMENTS + 1])
{
	unsigned count = params_count(params, FILE_RELOAD_COMMAND);

	for (unsigned i = 0; i < count && i < FAULT_COMMAND_ARGUMENTS; i++)
		argv[i] = params_value(params, FILE_RELOAD_COMMAND, i)->text;
	argv[count < FAULT_COMMAND_ARGUMENTS ? count : FAULT_COMMAND_ARGUMENTS] = NULL;
	return count > 0;
}

/* ---- In the journal ---- */

/* False: no room. */
static bool append(struct file_swap *swap, const char *text)
{
	size_t size = strlen(text) + 1;

	if (size > sizeof(swap->text) - swap->record.text_size)
		return false;
	memcpy(swap->text + swap->record.text_size, text, size);
	swap->record.text_size += (uint32_t)size;
	return true;
}

static bool append_command(struct file_swap *swap, const struct fault *fault)
{
	char *argv[FAULT_COMMAND_ARGUMENTS + 1], user[32];
	bool fits;

	swap->record.reload_number = fault->command;
	snprintf(user, sizeof(user), "%u:%u", fault->env->invoking_uid, fault->env->invoking_gid);
	fits = append(swap, user) && file_reload_argv(fault->params, argv);
	for (unsigned i = 0; fits && argv[i]; i++)
		fits = append(swap, argv[i]);
	return fits;
}

int file_reload_fill(const struct fault *fault, const char *path, struct file_swap *out,
		     struct error *err)
{
	const struct params *params = fault->params;
	bool fits = append(out, path);

	out->path = out->text;
	out->reload_by = out->text + out->record.text_size;
	out->record.reload = kind_of(params);
	out->record.reload_number = (uint32_t)params_number(params, FILE_RELOAD_SIGNAL, 0);
	if (out->record.reload == FILE_RELOAD_BY_COMMAND)
		fits = fits && append_command(out, fault);
	else if (out->record.reload == FILE_RELOAD_BY_SIGNAL)
		fits = fits && append(out, params_text(params, FILE_RELOAD_PIDFILE));
	else
		fits = fits && append(out, out->record.reload == FILE_RELOAD_BY_UNIT
						   ? params_text(params, FILE_RELOAD_UNIT)
						   : "");
	return fits ? file_reload_parse(out, err)
		    : error_set(err, ENAMETOOLONG, "%.100s...: the path is too long", path);
}

int file_reload_parse(struct file_swap *swap, struct error *err)
{
	struct fault_command *command = &swap->command;
	char *at = swap->text + (swap->reload_by - swap->text);
	const char *end = swap->text + swap->record.text_size;
	unsigned count = 0;

	if (swap->record.reload != FILE_RELOAD_BY_COMMAND)
		return 0;
	command->number = swap->record.reload_number;
	if (sscanf(at, "%u:%u", &command->uid, &command->gid) == 2)
		for (at += strlen(at) + 1; at < end && count < FAULT_COMMAND_ARGUMENTS;
		     at += strlen(at) + 1)
			command->argv[count++] = at;
	command->argv[count] = NULL;
	if (!count || at < end || command->argv[0][0] != '/' ||
	    command->number >= FAULT_COMMANDS_MAX)
		return error_set(err, EBADMSG, "the command in the record of a file is damaged");
	return 0;
}

uint32_t file_boot_crc(void)
{
	char boot_id[40] = "";

	return journal_boot_id(boot_id, NULL) < 0 ? 0 : crc32_of(boot_id, sizeof(boot_id));
}

bool file_is_of_another_boot(const struct file_swap *swap)
{
	uint32_t now = file_boot_crc();

	return now && swap->record.boot_crc && swap->record.boot_crc != now;
}

/* ---- Doing it ---- */

/* The process of the pid file, pinned. */
static int find_process(const struct file_swap *swap, struct target *target, struct error *err)
{
	int result;

	*target = (struct target){.kind = TARGET_PROCESS, .namespace_fd = -1};
	result = params_init(&target->params, process_params, err);
	if (result == 0)
		result = params_add(&target->params, PROCESS_PIDFILE, swap->reload_by, 0, 0, err);
	return result == 0 ? target_resolve(target, 1, NULL, err) : result;
}

/* Of any run, not only of this one: its processes obey nobody's pid file. */
static int check_not_squall(const struct target_process *process, struct error *err)
{
	struct stat own, its;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", process->id.pid);
	if (stat("/proc/self/exe", &own) < 0 || stat(path, &its) < 0 || own.st_dev != its.st_dev ||
	    own.st_ino != its.st_ino)
		return 0;
	return error_set(err, EPERM, "process %d (%s) is squall itself", process->id.pid,
			 process->name);
}

/* The process of the pid file, and that it may be touched. */
static int find_allowed(const struct file_swap *swap, struct target *target, struct error *err)
{
	int result = find_process(swap, target, err);

	if (result == 0)
		result = check_not_squall(&target->processes[0], err);
	return result < 0 ? result : fault_warden_process(target->processes[0].id.pid, err);
}

static int send_signal(const struct file_swap *swap, struct error *err)
{
	struct target target;
	int result = find_allowed(swap, &target, err);

	/* Last: what was read of it until now was its own only if it still lives. */
	if (result == 0)
		result = target_process_recheck(&target.processes[0], &target, err);
	if (result == 0) {
		result = proc_pidfd_signal(target.processes[0].pidfd,
					   (int)swap->record.reload_number);
		if (result < 0 && result != -ESRCH)
			error_errno(err, -result, "cannot signal process %d (%s)",
				    target.processes[0].id.pid, target.processes[0].name);
	}
	target_free(&target);
	return result;
}

/* Whether its user may run it shows when it is run. */
static int find_program(const char *path, struct error *err)
{
	struct stat about;

	if (stat(path, &about) < 0)
		return error_errno(err, errno, "cannot find the program %.200s", path);
	if (!S_ISREG(about.st_mode) || !(about.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
		return error_set(err, EACCES, "%.200s is not a program", path);
	return 0;
}

static int check_unit(const char *asked, struct error *err)
{
	char unit[SYSTEMD_NAME_SIZE];
	int result = systemd_find(asked, unit, err);

	return result < 0 ? result : fault_warden_unit(asked, unit, err);
}

/* *out_pid: of a signal. */
static int probe(const struct file_swap *swap, pid_t *out_pid, struct error *err)
{
	struct target target;
	int result = 0;

	if (swap->record.reload == FILE_RELOAD_BY_SIGNAL) {
		result = find_allowed(swap, &target, err);
		if (result == 0)
			*out_pid = target.processes[0].id.pid;
		target_free(&target);
	} else if (swap->record.reload == FILE_RELOAD_BY_UNIT) {
		result = check_unit(swap->reload_by, err);
	} else if (swap->record.reload == FILE_RELOAD_BY_COMMAND) {
		result = find_program(swap->command.argv[0], err);
	}
	return result < 0 ? error_prefix(err, "reload") : 0;
}

int file_reload_probe(const struct file_swap *swap, struct error *err)
{
	pid_t pid;

	return probe(swap, &pid, err);
}

int file_reload_start(const struct file_swap *swap, struct error *err)
{
	if (swap->record.reload != FILE_RELOAD_BY_COMMAND || file_is_of_another_boot(swap))
		return 0;
	return fault_command_start(&swap->command, err) < 0 ? error_prefix(err, "reload") : 0;
}

/* Who does not run reads the file when it starts; a stale pid file names somebody else. */
static bool is_nobody(int result)
{
	return result == -ENOENT || result == -ESRCH || result == -ESTALE;
}

static int reload_unit(const char *asked, struct error *err)
{
	int result = check_unit(asked, err);

	return result < 0 ? result : systemd_reload(asked, err);
}

int file_reload(const struct file_swap *swap, struct error *err)
{
	struct error inner = ERROR_INIT;
	int result = 0;

	if (file_is_of_another_boot(swap))
		return 0;
	if (swap->record.reload == FILE_RELOAD_BY_SIGNAL)
		result = send_signal(swap, &inner);
	else if (swap->record.reload == FILE_RELOAD_BY_UNIT)
		result = reload_unit(swap->reload_by, &inner);
	else if (swap->record.reload == FILE_RELOAD_BY_COMMAND &&
		 fault_command_finish(&swap->command, &inner) < 0)
		return error_set(err, inner.code, "reload: %.900s", inner.text);
	if (result >= 0 || is_nobody(result))
		return 0;
	if (err)
		*err = inner;
	return error_prefix(err, "reload");
}

/* As it can be typed; "..." at its end, of a full `out`, says that it does not fit. */
static void join(const struct fault_command *command, char *out, size_t size)
{
	out[0] = '\0';
	for (unsigned i = 0; command->argv[i]; i++) {
		size_t used = strlen(out);

		snprintf(out + used, size - used, "%s", i ? " " : "");
		shell_word_add(command->argv[i], out, size);
	}
	if (strlen(out) == size - 1)
		memcpy(out + size - 4, "...", 3);
}

static void describe_command(const struct fault_command *command, char *out, size_t size)
{
	const struct passwd *user = getpwuid(command->uid);
	char line[400], number[16];

	join(command, line, sizeof(line));
	snprintf(number, sizeof(number), "uid %u", command->uid);
	snprintf(out, size, "%s is run as %s, for at most %d s", line,
		 user ? user->pw_name : number, (int)(FAULT_COMMAND_TIMEOUT_NS / NSEC_PER_SEC));
}

void file_reload_describe(const struct file_swap *swap, char *out, size_t size)
{
	if (swap->record.reload == FILE_RELOAD_BY_SIGNAL)
		snprintf(out, size, "SIG%s to the process of %.200s",
			 signal_name((int)swap->record.reload_number), swap->reload_by);
	else if (swap->record.reload == FILE_RELOAD_BY_UNIT)
		snprintf(out, size, "systemd reloads %.200s", swap->reload_by);
	else if (swap->record.reload == FILE_RELOAD_BY_COMMAND)
		describe_command(&swap->command, out, size);
	else
		snprintf(out, size, "nobody is told: who reads the file does so by himself");
}

/* Who would be told: FILE_TYPE_COMMAND if it may be, *out_pid of a signal. */
static enum file_typing probe_typed(const struct file_swap *swap, pid_t *out_pid, struct error *err)
{
	int result;

	if (swap->record.reload == FILE_RELOAD_NONE || file_is_of_another_boot(swap))
		return FILE_TYPE_NOTHING;
	result = probe(swap, out_pid, err);
	if (result >= 0)
		return FILE_TYPE_COMMAND;
	return swap->record.reload != FILE_RELOAD_BY_COMMAND && is_nobody(result)
		       ? FILE_TYPE_NOTHING
		       : FILE_TYPE_NEVER;
}

enum file_typing file_reload_command(const struct file_swap *swap, char out[FILE_RELOAD_TYPED],
				     struct error *err)
{
	const struct fault_command *command = &swap->command;
	char words[FILE_RELOAD_TYPED - 100] = "";
	pid_t pid = 0;
	enum file_typing typing = probe_typed(swap, &pid, err);

	out[0] = '\0';
	if (typing != FILE_TYPE_COMMAND)
		return typing;
	if (swap->record.reload == FILE_RELOAD_BY_COMMAND)
		join(command, words, sizeof(words));
	else
		shell_word_add(swap->reload_by, words, sizeof(words));
	if (strlen(words) == sizeof(words) - 1) /* in part it would be another command */
		return FILE_TYPE_TOO_LONG;
	if (swap->record.reload == FILE_RELOAD_BY_SIGNAL) /* the file may name another one soon */
		snprintf(out, FILE_RELOAD_TYPED, "kill -%s %d",
			 signal_name((int)swap->record.reload_number), (int)pid);
	else if (swap->record.reload == FILE_RELOAD_BY_UNIT)
		snprintf(out, FILE_RELOAD_TYPED, "systemctl reload %s", words);
	else if (command->uid == 0)
		snprintf(out, FILE_RELOAD_TYPED, "%s", words);
	else /* with no more rights than it has when squall runs it (setpriv(1)) */
		snprintf(out, FILE_RELOAD_TYPED, "setpriv --reuid=%u --regid=%u --clear-groups %s",
			 command->uid, command->gid, words);
	return FILE_TYPE_COMMAND;
}
