/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall with one mistake, to see that a loss of power finds it: nothing is ever written to the
 * disk before it is needed there. Linked with --wrap.
 */
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);

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
