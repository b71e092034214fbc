/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * nf_tables as it is: counters, tables, hooks. Changes are built and committed by nft_batch.h.
 * Both over netlink_open_netfilter().
 */
#ifndef SQUALL_NFT_H
#define SQUALL_NFT_H

#include "injector/base/error.h"
#include "injector/kernel/netlink.h"

#include <stdbool.h>
#include <stdint.h>

/* Every counter object of a table of family netdev. */
typedef void (*nft_counter_fn)(void *context, const char *name, uint64_t packets, uint64_t bytes);
int nft_counters(struct netlink *netlink, const char *table, nft_counter_fn fn, void *context,
		 struct error *err);
/* -ENOENT if there is no table of that family (NFPROTO_...) and name. `out_owner`: netlink port
 * (mostly the pid) that owns it, 0: none. */
int nft_find_table(struct netlink *netlink, uint8_t family, const char *table, uint32_t *out_owner,
		   struct error *err);
/* The table is gone when this returns 0: it vanishes with its owner, and one who is dying is waited
 * for; what has no owner is deleted. */
int nft_remove_table(struct netlink *netlink, uint8_t family, const char *table, struct error *err);

struct nft_hook {
	const char *table, *chain, *device;
	bool is_ingress;
	int32_t priority;
};
/* Every base chain on every device, of family netdev or inet. */
typedef void (*nft_hook_fn)(void *context, const struct nft_hook *hook);
/* May tell of a chain more than once. */
int nft_hooks(struct netlink *netlink, nft_hook_fn fn, void *context, struct error *err);

#endif
