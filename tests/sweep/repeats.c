/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/repeats.h"

#include "tests/sweep/tracer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define REPEATS 2
#define PAIRS	512 /* more than there are system calls */

bool call_is_telling(int call)
{
	switch (call) {
	case SYS_sendto:
	case CALL_NETLINK_CHANGE:
	case SYS_sendmsg:
	case SYS_recvmsg:
	case SYS_ioctl:
	case SYS_bpf:
	case SYS_write:
	case SYS_pwrite64:
	case SYS_ftruncate:
	case SYS_fsync:
	case SYS_fdatasync:
	case SYS_creat: /* an openat(2) that creates is recorded as one */
	case SYS_link:
	case SYS_linkat:
	case SYS_symlinkat:
	case SYS_unlink:
	case SYS_unlinkat:
	case SYS_mkdir:
	case SYS_mkdirat:
	case SYS_rmdir:
	case SYS_rename:
	case SYS_renameat2:
	case SYS_fchmod:
	case SYS_fchown:
	case SYS_setxattr:
	case SYS_fsetxattr:
	case SYS_removexattr:
	case SYS_fremovexattr:
	case SYS_utimensat:
	case SYS_mount:
	case SYS_umount2:
	case SYS_open_tree:
	case SYS_move_mount:
	case SYS_mount_setattr:
	case SYS_setns:
	case SYS_kill:
	case SYS_pidfd_send_signal:
	case SYS_fallocate:
	case SYS_flock:
	case SYS_clone:
	case SYS_clone3:
	case SYS_exit_group:
		return true;
	}
	return false;
}

bool *calls_without_repeats(const int *calls, unsigned count, unsigned *out_chosen)
{
	static unsigned char seen[PAIRS][PAIRS];
	bool *is_chosen;
	int before = 0;

	if (count > TRACE_CALLS_MAX)
		count = TRACE_CALLS_MAX;
	is_chosen = calloc(count + 1, sizeof(bool));
	if (!is_chosen)
		abort();
	memset(seen, 0, sizeof(seen));
	*out_chosen = 0;
	for (unsigned i = 0; i < count; i++) {
		int call = calls[i];
		unsigned char *tries = &seen[before % PAIRS][call % PAIRS];

		if (call_is_telling(call) || call_is_telling(before))
			memset(seen, 0, sizeof(seen));
		is_chosen[i] = *tries < REPEATS;
		*tries += is_chosen[i];
		*out_chosen += is_chosen[i];
		before = call;
	}
	return is_chosen;
}
