/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sockets of a network namespace, for tests of what connect() and those behind it are told.
 */
#ifndef SQUALL_TESTS_NETLAB_DIAL_H
#define SQUALL_TESTS_NETLAB_DIAL_H

#include <stdint.h>
#include <sys/socket.h>

#define NETLAB_PATIENCE_S 5 /* nothing on these sockets takes longer */

/* Of the family that the address is written in; the size of what was filled in. */
socklen_t netlab_socket_address(const char *address, uint16_t port, struct sockaddr_storage *out);
/* SOCK_STREAM or SOCK_DGRAM, in a namespace. */
int netlab_own_socket(int namespace_fd, const char *address, int type);
/* A connection, or -errno. */
int netlab_dial(int namespace_fd, const char *address, uint16_t port);
/* The same with its own address chosen. */
int netlab_dial_from(int namespace_fd, const char *from, const char *address, uint16_t port);
/* 0: the connection is open; or what its owner is told. */
int netlab_told(int fd);
/* Ends it without a word that would keep its port. */
void netlab_hang_up(int fd);
/* So many descriptors more may be opened by this process; UINT_MAX: as many as ever. */
void netlab_allow_descriptors(unsigned count);

#endif
