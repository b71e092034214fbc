/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A laboratory for the network fault: two network namespaces with a veth pair, traffic measured in
 * this process, and the state of a namespace as text for comparison. Failures are cmocka failures.
 * netlab.c: the laboratory; netlab_command.c, netlab_traffic.c and netlab_fault.c what is done in
 * it.
 *
 *   near (sqntXXXX-a): sqv0 10.88.0.1/24 fd88::1/64      far (-b): sqv1 10.88.0.2, .3 fd88::2, ::3
 *   UDP is answered and TCP accepted on NETLAB_PORT of all of them and of lo in near, and on
 *   NETLAB_OTHER_PORT of 10.88.0.2.
 */
#ifndef SQUALL_TESTS_NETLAB_H
#define SQUALL_TESTS_NETLAB_H

#include "faults/fault.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define NETLAB_PORT	  7001
#define NETLAB_OTHER_PORT 7002
#define NETLAB_SOCKETS	  16

struct netlab {
	char near[24], far[24]; /* names for `ip netns` */
	int near_fd, far_fd;
	int echo[NETLAB_SOCKETS]; /* of the answering thread */
	unsigned echo_count;
	int stop_fd;
	pthread_t thread;
	char root[64]; /* of the journal */
	uint64_t seed; /* of the run, for faults that draw */
};

/* For cmocka_unit_test_setup_teardown(). */
int netlab_setup(void **state);
int netlab_teardown(void **state);
/* For tests that ask for another way (SQUALL_HOOK, SQUALL_NETEM), in case they fail on it. */
int netlab_teardown_ways(void **state);
/* Packets are taken out by the nf_tables table, or by the tc filters of older kernels: both must
 * mean the same. */
int netlab_setup_table(void **state);
int netlab_setup_filters(void **state);
#define BY_TABLE_AND_FILTERS(test)                                                                 \
	{#test, test, netlab_setup_table, netlab_teardown_ways, NULL},                             \
	{                                                                                          \
#test "_by_filters", test, netlab_setup_filters, netlab_teardown_ways, NULL        \
	}

/* Runs a command (words separated by blanks, no shell); its exit status. */
int netlab_try(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, and fails the test unless it succeeds. */
void netlab_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Its output (caller frees). */
char *netlab_output(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends a child, with SIGKILL. */
void netlab_kill(pid_t child);
/* What the commands print, one after the other; the first %s of each is `name`. Owned by the
 * caller. */
char *netlab_outputs(const char *name, const char *const *commands, size_t count);

/* Links, qdiscs, classes, filters, nf_tables and the IPv4 settings of lo in the near namespace,
 * without counters. Caller frees. */
char *netlab_dump(const struct netlab *lab);
/* Fails the test with the first line that differs from a dump made before (which it frees). */
void netlab_same(const struct netlab *lab, char *before);

/* A socket of that namespace, bound to an address and port unless it is NULL. */
int netlab_socket(int namespace_fd, int family, int type, int protocol, const char *address,
		  uint16_t port);
/* IPv4 or IPv6; its size. */
socklen_t netlab_address(const char *text, uint16_t port, struct sockaddr_storage *out);

/* Round trip of one datagram to an address of the far side (or of lo), in ns; -1: lost. */
int64_t netlab_round_trip(const struct netlab *lab, const char *address, uint16_t port,
			  int timeout_ms);
/* The same, with the local port chosen. */
int64_t netlab_round_trip_from(const struct netlab *lab, uint16_t local_port, const char *address,
			       uint16_t port, int timeout_ms);
/* The smallest of `count`. */
int64_t netlab_fastest(const struct netlab *lab, const char *address, uint16_t port,
		       unsigned count);
/* Sends `count` datagrams and says how many answers came. */
unsigned netlab_answers(const struct netlab *lab, const char *address, uint16_t port,
			unsigned count);
/* Numbered datagrams to the far side and back, sent one by one. */
struct netlab_stream {
	int fd;
	uint64_t sent, last;
	unsigned answers, reordered;
};
void netlab_stream_open(struct netlab_stream *stream, const struct netlab *lab, const char *address,
			uint16_t port);
void netlab_stream_send(struct netlab_stream *stream);
/* Waits for the last answers. */
void netlab_stream_close(struct netlab_stream *stream, unsigned *out_answers,
			 unsigned *out_reordered);
/* What a sender is told that asks for all errors (IP_RECVERR): 0 or errno. */
int netlab_send_error(const struct netlab *lab, const char *address, uint16_t port);
/* ICMP echo; -1: lost. */
int64_t netlab_ping(const struct netlab *lab, const char *address, int timeout_ms);
/* Sends so many bytes over TCP, verified at the other end; the time it took, -1: not in time. */
int64_t netlab_transfer(const struct netlab *lab, const char *address, uint16_t port, size_t bytes,
			int timeout_ms);

/* A fault, built as the worker builds it: "to", "10.0.0.1", ..., NULL. It is `network` unless the
 * first pair is "fault", NAME. Behind "follow", "true" may stand "host", "NAME:PORTS ADDRESS ...".
 */
struct netlab_fault {
	struct fault fault;
	struct target target;
	struct params params;
	struct fault_env env;
	char run_id[RUN_ID_SIZE];
	struct journal *journal;
	char plan[4096]; /* all its lines */
};
/* Pairs of key and value; those of the target's table go there. A journal is made. */
int netlab_fault_plan(struct netlab *lab, struct netlab_fault *out, const char *run_id,
		      const char *const *settings, struct error *err);
/* A further step of the same run. */
int netlab_fault_plan_step(struct netlab *lab, struct netlab_fault *out,
			   const struct netlab_fault *first, unsigned step,
			   const char *const *settings, struct error *err);
/* These fail the test where it is refused; `start` plans and injects. */
void netlab_fault_must_plan(struct netlab *lab, struct netlab_fault *out, const char *run_id,
			    const char *const *settings);
void netlab_fault_inject(struct netlab_fault *fault);
void netlab_fault_start(struct netlab *lab, struct netlab_fault *out, const char *run_id,
			const char *const *settings);
void netlab_fault_start_step(struct netlab *lab, struct netlab_fault *out,
			     const struct netlab_fault *first, unsigned step,
			     const char *const *settings);
/* A worker of its own that injects and then waits to be killed. */
pid_t netlab_fault_start_apart(struct netlab *lab, const char *run_id, const char *const *settings);
/* What it says of itself just now. */
struct evidence netlab_evidence(struct netlab_fault *fault);
/* Ends it to the last, undoes all records, verifies each, and releases it. */
void netlab_fault_finish(struct netlab_fault *fault, enum fault_end how);
/* end() until it needs no more. */
void netlab_fault_end(struct netlab_fault *fault, enum fault_end how);
/* undo() and verify() of all records, newest first, as restore does. Any process may call it. */
void netlab_undo_all(const char *run_id);
/* Those of one step (-1: all). */
void netlab_undo_step(const char *run_id, int step);

/* True if netem is there and not switched off. */
bool netlab_has_netem(void);
/* A counter of the kernel's network stack in a namespace, as nstat(8) calls it. */
unsigned netlab_counter(const char *namespace_name, const char *counter);
/* Of nf_tables, since Linux 5.16. */
bool netlab_has_egress_hook(const struct netlab *lab);
/* Faults take packets out by tc filters: it has none, or that was asked for. */
bool netlab_by_filters(const struct netlab *lab);

/* The kernel can end connections (CONFIG_INET_DIAG_DESTROY). */
bool netlab_can_end_connections(const struct netlab *lab);

#endif
