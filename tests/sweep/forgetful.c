/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall with one mistake, to see that a loss of power finds it: nothing is ever written to the
 * disk before it is needed there. Linked with --wrap.
 */
#include <fcntl.h>
#include <stdarg.h>

int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __real_openat(int directory, const char *path, int flags, ...);
int __wrap_openat(int directory, const char *path, int flags, ...);

int __wrap_fsync(int fd)
{
	(void)fd;
	return 0;
}

int __wrap_fdatasync(int fd)
{
	(void)fd;
	return 0;
}

int __wrap_openat(int directory, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list more;

	va_start(more, flags);
	if (flags & O_CREAT)
		mode = va_arg(more, mode_t);
	va_end(more);
	return __real_openat(directory, path, flags & ~(O_SYNC | O_DSYNC), mode);
}
