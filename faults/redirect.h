/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What faults share that redirect traffic to a thread of the worker: rules of their tables, sockets
 * on the loopback address, and sockets to those who were meant.
 */
#ifndef SQUALL_REDIRECT_H
#define SQUALL_REDIRECT_H

#include "faults/fault.h"
#include "injector/kernel/namespace.h"
#include "injector/kernel/netlink.h"
#include "injector/kernel/nft_batch.h"

#include <netinet/in.h> /* before linux/: they share types */
#include <sys/socket.h>

/* -ENETDOWN: lo is down in the target's namespace. */
int redirect_check_loopback(const struct target *target, const char *what, struct error *err);
/* -ESTALE: lo was taken down, or an interface was removed by which alone requests are met, and
 * which is not followed. `route`: netlink_open() in the namespace. */
int redirect_check_links(struct netlink *route, const struct target *target, const char *what,
			 struct error *err);
/* The mark of what a responder sends: `base`, of four bits, and 24 bits of when it is. Later is
 * greater, so that the newest of several faults is asked first and none asks a newer one. It is the
 * priority of the packets (SO_PRIORITY): their mark proper is others' business. Firewalls drop and
 * translate by single bits of it, routes are chosen by it, and rules that give packets the mark of
 * their connection write over it. The low four bits are zero: they are the class of the traffic. */
uint32_t redirect_new_mark(uint32_t base);

/* The rules of a table, which is begun: where to, and whose traffic. */
struct redirect_rules {
	struct nft_batch *batch;
	const struct target *target;
	uint16_t port; /* of the responder */
	bool has_ipv6; /* it listens on ::1 as well */
	uint32_t mark; /* of what it sends */
};
#define REDIRECT_PRIORITY (-101) /* before anybody's own translation (-100) sees a packet */

/* A rule of `chain`: what this responder sends passes, and what older ones do: a newer one passes
 * to an older one what it does not answer, never the other way round. `base`: of the mark. */
void redirect_pass_on(const struct redirect_rules *rules, const char *chain, uint32_t base);
/* Rules of `chain` that lead to chain `to` what everybody, or some control groups, send; `match`:
 * what else must hold, or NULL. */
void redirect_lead(const struct redirect_rules *rules, const char *chain, const char *to,
		   void (*match)(struct nft_batch *batch));
/* Rules of `chain`: link-local addresses are not redirected, on either side, since the interface
 * they are on is not known on lo; without ::1 there nothing of IPv6 is. */
void redirect_spare_ipv6(const struct redirect_rules *rules, const char *chain);
/* Calls `add` for each server of the target, and each interface that leads there (0: any). */
void redirect_each_server(const struct redirect_rules *rules,
			  void (*add)(const struct redirect_rules *rules,
				      const struct endpoint *server, int interface));
/* What a rule matches: packets to the addresses of an endpoint; of one protocol (a number that
 * lasts) to its ports, or to the usual one, leaving by one interface (0: any). */
void redirect_match_addresses(struct nft_batch *batch, const struct endpoint *endpoint);
void redirect_match_server(struct nft_batch *batch, const struct endpoint *server, int interface,
			   const uint8_t *protocol, uint16_t usual_port);

/* A TCP or UDP socket on the loopback address of the namespace we are in; port 0: any. -errno. */
int redirect_listen(int family, int type, uint16_t *inout_port, int *out_fd);
/* Who asks whom, through us. */
struct redirect_way {
	struct sockaddr_storage client, server;
	struct sockaddr_storage own; /* of our socket to the server, once there is one */
};
/* A marked socket to the server, from the client's address if it is still there; -1: cannot. It may
 * still be connecting. */
int redirect_connect(uint32_t mark, int type, struct redirect_way *way);
/* What has come was sent on the other way: somebody's rules have taken off what tells our packets,
 * and each one would lead to one more. */
bool redirect_comes_back(const struct redirect_way *way, const struct redirect_way *other);

/* Of a TCP socket: its connection is over, also before we have read of it, and somebody else may
 * have its port. */
bool redirect_has_closed(int fd);
bool redirect_is_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b);
socklen_t redirect_address_size(const struct sockaddr_storage *address);

#endif
