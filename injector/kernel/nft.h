/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * nf_tables. Changes go through libnftables (this is its only user), as one text that the kernel
 * commits as one transaction. Reading goes straight over netlink: libnftables would fetch and
 * print every set on the machine.
 *
 * A table with `flags owner` belongs to the socket inside struct nft: it vanishes when that is
 * closed, by nft_close() or by the death of the process. So the socket is close-on-exec, and a
 * process that holds a table must not fork children that outlive it.
 */
#ifndef SQUALL_NFT_H
#define SQUALL_NFT_H

#include "injector/base/error.h"
#include "injector/kernel/netlink.h"

#include <stdbool.h>
#include <stdint.h>

struct nft;

/* For one network namespace (-1: our own). */
int nft_open(int namespace_fd, struct nft **out, struct error *err);
/* Commits the text as one transaction: all of it or nothing. Only validated values may be in it.
 * Interfaces in `fwd to` must be written by NFT_DEVICE_FORMAT: names would be looked up in the
 * namespace that the process happens to be in. */
int nft_commit(struct nft *nft, const char *text, struct error *err);
/* Owned tables are gone when this returns. */
void nft_close(struct nft *nft);

/* printf format of an interface index: longer than any interface name, so never taken for one. */
#define NFT_DEVICE_FORMAT "\"%020d\""

/* Reading, over netlink_open_netfilter(). All for family netdev. */

/* Every counter object of a table. */
typedef void (*nft_counter_fn)(void *context, const char *name, uint64_t packets, uint64_t bytes);
int nft_counters(struct netlink *netlink, const char *table, nft_counter_fn fn, void *context,
		 struct error *err);
/* -ENOENT if there is no such table. `out_owner`: netlink port (mostly the pid) that owns it, 0:
 * none. */
int nft_find_table(struct netlink *netlink, const char *table, uint32_t *out_owner,
		   struct error *err);

struct nft_hook {
	const char *table, *chain, *device;
	bool is_ingress;
	int32_t priority;
};
/* Every base chain on every device. */
typedef void (*nft_hook_fn)(void *context, const struct nft_hook *hook);
int nft_hooks(struct netlink *netlink, nft_hook_fn fn, void *context, struct error *err);

#endif
