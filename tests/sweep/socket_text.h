/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The sockets of a network namespace, as text: who listens, or is bound. Connections come and go
 * with the traffic of the test itself; of those that hold ports only the ports are counted that are
 * left.
 */
#ifndef SQUALL_TESTS_SOCKET_TEXT_H
#define SQUALL_TESTS_SOCKET_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#define SOCKET_TEXT_FILES 8

struct socket_text {
	int files[SOCKET_TEXT_FILES]; /* of /proc/net, in the namespace */
	int diag;		      /* -1: the kernel has none, and the files are read instead */
	int ports_in;		      /* not owned; -1: they are not counted */
};

void socket_text_open(struct socket_text *out, int namespace_fd, bool counts_ports);
/* `held`: what has an effect on others. `inert`: sockets of netlink. */
void socket_text_write(const struct socket_text *text, FILE *held, FILE *inert);

#endif
