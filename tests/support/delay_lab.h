/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the tests of the delay line share: two network namespaces with a veth pair between them, a
 * line on the near end, an owner table that forwards to it, sockets on both sides. Nothing has a
 * name outside: all of it ends with the process. Failures are cmocka failures.
 */
#ifndef SQUALL_TESTS_DELAY_LAB_H
#define SQUALL_TESTS_DELAY_LAB_H

#include "faults/network_delay_line.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define LAB_MARK 0x5a5a
#define LAB_TAP	 "sqdltap"
#define LAB_VETH "sqdlhap" /* of a line with `holds` */

struct netlink;

struct lab {
	int near_fd, far_fd; /* namespaces: A with sqdla, B with sqdlb */
	unsigned threads;    /* of the next line; 0: as many as it finds right */
	bool holds;	     /* the kernel keeps the next line's packets, wherever that can be */
	struct delay_line *line;
	struct netlink *table; /* owns it */
};

/* For cmocka_unit_test_setup_teardown(). A has 10.77.0.1 and fd77::1, B .2 .3 and ::2 ::3. */
int lab_setup(void **state);
/* The same with `holds`. */
int lab_setup_hold(void **state);
int lab_teardown(void **state);
#define IN_LAB(test) cmocka_unit_test_setup_teardown(test, lab_setup, lab_teardown)
#define IN_LAB_WITH_HOLD(test)                                                                     \
	{                                                                                          \
#test "_kept_by_the_kernel", test, lab_setup_hold, lab_teardown, NULL              \
	}

/* Runs fn inside a namespace and returns what it returned. */
int lab_inside(int namespace_fd, int (*fn)(void *context), void *context);
/* A shell command in a namespace. Only while no line runs: the child would share its tap. */
void lab_command(int namespace_fd, const char *line);
/* 0: there is none. */
int lab_index(int namespace_fd, const char *device);

void lab_start(struct lab *lab, const char *device, bool is_ingress, int64_t delay_ns,
	       int64_t jitter_ns);
/* Changes the running line. */
void lab_set(struct lab *lab, int64_t delay_ns, int64_t jitter_ns);
/* Nothing waits in it any more; false: not within that time. */
bool lab_wait_until_empty(const struct lab *lab, int64_t timeout_ns);
/* The table as the injector has it: what comes back passes once, what matches goes to the line. */
void lab_forward(struct lab *lab, const char *device, bool is_ingress, const char *peer);
void lab_forward_protocol(struct lab *lab, const char *device, bool is_ingress, uint8_t protocol);
void lab_forward_vlan(struct lab *lab, const char *device, bool is_ingress, uint16_t vlan);
void lab_drop_table(struct lab *lab);

struct lab_address {
	struct sockaddr_storage storage;
	socklen_t length;
};
struct lab_address lab_address(const char *text, uint16_t port);
/* A bound socket with large buffers. */
int lab_socket(int namespace_fd, int type, const char *address, uint16_t port);

/* Sends a datagram of `size` bytes (16 at least) that carries its number and the time. */
void lab_send(int fd, const struct lab_address *to, uint64_t number, size_t size);
/* One-way delay of the next such datagram in ns, or -1 if none comes within the timeout. */
int64_t lab_receive(int fd, int timeout_ms, uint64_t *out_number);

void lab_sleep(int64_t ns);

#endif
