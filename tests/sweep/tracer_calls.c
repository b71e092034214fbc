/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/tracer.h"

#include <sys/syscall.h>

/* Files, sockets, memory, processes: what the kernel may refuse at any time. Not close(): a failed
 * one closes, too. */
bool trace_can_fail(int call)
{
	static const int calls[] = {
		SYS_open,	 SYS_openat,
		SYS_openat2,	 SYS_read,
		SYS_pread64,	 SYS_write,
		SYS_pwrite64,	 SYS_fstat,
		SYS_newfstatat,	 SYS_getdents64,
		SYS_unlink,	 SYS_unlinkat,
		SYS_mkdir,	 SYS_mkdirat,
		SYS_rmdir,	 SYS_rename,
		SYS_renameat2,	 SYS_flock,
		SYS_fallocate,	 SYS_fsync,
		SYS_fdatasync,	 SYS_ftruncate,
		SYS_readlink,	 SYS_readlinkat,
		SYS_socket,	 SYS_bind,
		SYS_connect,	 SYS_sendto,
		SYS_sendmsg,	 SYS_recvfrom,
		SYS_recvmsg,	 SYS_setsockopt,
		SYS_getsockname, SYS_ioctl,
		SYS_setns,	 SYS_fcntl,
		SYS_pidfd_open,	 SYS_pidfd_send_signal,
		SYS_bpf,	 SYS_brk,
		SYS_mmap,	 SYS_mremap,
		SYS_mount,	 SYS_umount2,
		SYS_linkat,	 SYS_fchmod,
		SYS_fchown,	 SYS_setxattr,
		SYS_fsetxattr,	 SYS_utimensat,
	};

	for (unsigned i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (calls[i] == call)
			return true;
	return false;
}
