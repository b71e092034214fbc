/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What faults share that redirect traffic to a thread of the worker: sockets on the loopback
 * address, sockets to those who were meant, and the record of the table, which vanishes with its
 * owner, so that there is mostly nothing to undo but to look.
 */
#ifndef SQUALL_REDIRECT_H
#define SQUALL_REDIRECT_H

#include "faults/fault.h"
#include "injector/kernel/namespace.h"
#include "injector/kernel/netlink.h"
#include "injector/kernel/nft_batch.h"

#include <netinet/in.h> /* before linux/: they share types */
#include <sys/socket.h>

struct redirect_record { /* what an undo record says */
	struct namespace_id namespace_id;
	char namespace_name[64];   /* as in the experiment, for people; empty: the own one */
	char table[32];		   /* of family inet */
	uint64_t namespace_cookie; /* tells it from a later one with its inode; 0: unknown */
	uint16_t port; /* TCP, where to; connection tracking is to forget it. 0: it has a
			* zone of its own, which nobody meets again */
};
_Static_assert(sizeof(struct redirect_record) <= JOURNAL_PAYLOAD, "an undo record is one record");

/* Of the fault as planned. */
int redirect_name(const struct fault *fault, struct redirect_record *out, struct error *err);
/* `type`: the only one that the fault writes. */
int redirect_read(const struct journal_record *record, uint32_t type, struct redirect_record *out,
		  struct error *err);
int redirect_undo(const struct redirect_record *what, struct error *err);
int redirect_verify(const struct redirect_record *what, bool *out_gone, char *out_left,
		    size_t left_size, struct error *err);

/* -ENETDOWN: lo is down in the target's namespace. */
int redirect_check_loopback(const struct target *target, const char *what, struct error *err);
/* -ESTALE: lo was taken down, or an interface was removed by which alone requests are met. `route`:
 * netlink_open() in the namespace. */
int redirect_check_links(struct netlink *route, const struct target *target, const char *what,
			 struct error *err);
/* The mark of what a responder sends: `base`, of four bits, and 24 bits of when it is. Later is
 * greater, so that the newest of several faults is asked first and none asks a newer one. It is the
 * priority of the packets (SO_PRIORITY): their mark proper is others' business. Firewalls drop and
 * translate by single bits of it, routes are chosen by it, and rules that give packets the mark of
 * their connection write over it. The low four bits are zero: they are the class of the traffic. */
uint32_t redirect_new_mark(uint32_t base);
#define REDIRECT_COMES_BACK                                                                        \
	"what is passed on comes back: a rule of the output hook sets the priority of packets"
/* A rule of `chain`: what this responder sends passes, and what older ones do. */
void redirect_pass_on(struct nft_batch *batch, const char *chain, uint32_t base, uint32_t mark);

/* Rules of `chain`: link-local addresses are not redirected, on either side, since the interface
 * they are on is not known on lo; without ::1 there nothing of IPv6 is. */
void redirect_spare_ipv6(struct nft_batch *batch, const char *chain, bool has_ipv6);

/* A TCP or UDP socket on the loopback address of the namespace we are in; port 0: any. -errno. */
int redirect_listen(int family, int type, uint16_t *inout_port, int *out_fd);
/* The descriptor, or another one instead of it: above `floor`. -1: cannot, and it is closed. */
int redirect_raise(int fd, int floor);
/* A marked socket to the server, from the client's address if it is still there; -1: cannot. It may
 * still be connecting. */
int redirect_connect(uint32_t mark, int type, const struct sockaddr_storage *client,
		     const struct sockaddr_storage *server);

/* Of a TCP socket: its connection is over, also before we have read of it, and somebody else may
 * have its port. */
bool redirect_has_closed(int fd);
bool redirect_is_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b);
socklen_t redirect_address_size(const struct sockaddr_storage *address);

#endif
