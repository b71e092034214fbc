/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Telling a service to read its file again, from any process and without starting a program: a
 * signal to the process of a pid file, or a request to systemd. Whom a pid file names is checked
 * against the same rails as a process that a fault would kill.
 */
#include "faults/file.h"

#include "injector/journal/crc32.h"
#include "injector/kernel/proc.h"
#include "injector/kernel/systemd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum file_reload_kind file_reload_kind_of(const struct params *params)
{
	if (params_is_set(params, FILE_RELOAD_PIDFILE))
		return FILE_RELOAD_BY_SIGNAL;
	return params_is_set(params, FILE_RELOAD_UNIT) ? FILE_RELOAD_BY_UNIT : FILE_RELOAD_NONE;
}

int file_reload_check(const struct params *params, struct error *err)
{
	int number = (int)params_number(params, FILE_RELOAD_SIGNAL, 0);

	if (params_is_set(params, FILE_RELOAD_PIDFILE) && params_is_set(params, FILE_RELOAD_UNIT))
		return error_set(err, EINVAL,
				 "`reload-pidfile` and `reload-unit` both say who reads the file "
				 "again; give one");
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

uint32_t file_boot_crc(void)
{
	char boot_id[40] = "";

	return journal_boot_id(boot_id, NULL) < 0 ? 0 : crc32_of(boot_id, sizeof(boot_id));
}

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

static int send_signal(const struct file_swap *swap, struct error *err)
{
	struct target target;
	int result = find_process(swap, &target, err);

	if (result == 0)
		result = target_process_recheck(&target.processes[0], &target, err);
	if (result == 0) {
		result = proc_pidfd_signal(target.processes[0].pidfd,
					   (int)swap->record.reload_signal);
		if (result < 0 && result != -ESRCH)
			error_errno(err, -result, "cannot signal process %d (%s)",
				    target.processes[0].id.pid, target.processes[0].name);
	}
	target_free(&target);
	return result;
}

int file_reload_probe(const struct file_swap *swap, struct error *err)
{
	struct target target;
	int result = 0;

	if (swap->record.reload == FILE_RELOAD_BY_SIGNAL) {
		result = find_process(swap, &target, err);
		target_free(&target);
	} else if (swap->record.reload == FILE_RELOAD_BY_UNIT) {
		result = systemd_ping(err);
	}
	return result < 0 ? error_prefix(err, "reload") : 0;
}

int file_reload(const struct file_swap *swap, struct error *err)
{
	struct error inner = ERROR_INIT;
	int result = 0;

	if (swap->record.boot_crc != file_boot_crc())
		return 0;
	if (swap->record.reload == FILE_RELOAD_BY_SIGNAL)
		result = send_signal(swap, &inner);
	else if (swap->record.reload == FILE_RELOAD_BY_UNIT)
		result = systemd_reload(swap->reload_by, &inner);
	/* Who does not run reads the file when it starts; a stale pid file names somebody else. */
	if (result >= 0 || result == -ENOENT || result == -ESRCH || result == -ESTALE)
		return 0;
	if (err)
		*err = inner;
	return error_prefix(err, "reload");
}

void file_reload_describe(const struct file_swap *swap, char *out, size_t size)
{
	if (swap->record.reload == FILE_RELOAD_BY_SIGNAL)
		snprintf(out, size, "SIG%s to the process of %.200s",
			 signal_name((int)swap->record.reload_signal), swap->reload_by);
	else if (swap->record.reload == FILE_RELOAD_BY_UNIT)
		snprintf(out, size, "systemd reloads %.200s", swap->reload_by);
	else
		snprintf(out, size, "nobody is told: who reads the file does so by himself");
}

void file_reload_command(const struct file_swap *swap, char *out, size_t size)
{
	out[0] = '\0';
	if (swap->record.reload == FILE_RELOAD_BY_SIGNAL)
		snprintf(out, size, "kill -%s \"$(cat '%.150s')\"",
			 signal_name((int)swap->record.reload_signal), swap->reload_by);
	else if (swap->record.reload == FILE_RELOAD_BY_UNIT)
		snprintf(out, size, "systemctl reload '%.150s'", swap->reload_by);
}
