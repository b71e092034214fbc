/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Between the files of the nf_tables encoder.
 */
#ifndef SQUALL_NFT_INTERNAL_H
#define SQUALL_NFT_INTERNAL_H

#include "injector/kernel/nft_batch.h"

/* A message (NFT_MSG_...) about the table in use. */
void nft_add_message(struct netlink_request *request, const struct nft_batch *batch,
		     unsigned message, uint16_t flags);

/* Sets without a name: the kernel writes a number there; until then they are found by their own. */
#define NFT_OWN_SET "__set%d"

#endif
