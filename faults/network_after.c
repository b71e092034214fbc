/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * after-bytes: a flow is met only once so much of it has passed. What each has carried is kept by
 * the kernel, in a set of the step's table (or in a map of its programs), and is gone with it: the
 * next injection counts anew. Both are bounded. The set takes no more flows when it is full, and
 * forgets those that are silent; the map forgets those that were silent for the longest time.
 */
#include "faults/network_after.h"

#include "injector/kernel/bpf.h"
#include "injector/kernel/nft_match.h"
#include "injector/kernel/trial.h"

#include <inttypes.h>
#include <netinet/in.h>

static const int families[] = {AF_INET, AF_INET6};
static const char *const set_name[] = {"bytes4", "bytes6"};

void network_after_add_sets(const struct network_pick *pick, struct nft_batch *batch)
{
	for (unsigned i = 0; i < 2 && pick->after_bytes; i++) {
		const enum nft_type address = i ? NFT_TYPE_IPV6 : NFT_TYPE_IPV4;

		nft_add_set(batch, &(struct nft_set){.name = set_name[i],
						     .fields = {address, address, NFT_TYPE_PORT,
								NFT_TYPE_PORT, NFT_TYPE_PROTOCOL},
						     .is_dynamic = true,
						     .size = NETWORK_AFTER_FLOWS,
						     .timeout_ms = NETWORK_AFTER_FORGET_S * 1000});
	}
}

/* Begins a rule about flows of one kind, whose key it loads: near and far address, ports (or 0),
 * protocol. A later fragment, which has no ports, is none of those that have some. */
static void load_key(unsigned family, bool has_ports, bool is_ingress, const char *chain,
		     struct nft_batch *batch)
{
	const uint32_t none[2] = {0, 0};
	unsigned words;

	nft_rule_begin(batch, chain);
	nft_match_family(batch, families[family]);
	if (has_ports)
		nft_match_has_ports(batch);
	words = network_flow_load(batch, families[family], is_ingress, has_ports);
	if (!has_ports) {
		nft_load_value(batch, words, none, sizeof(none));
		words += 2;
	}
	nft_load_meta(batch, words, NFT_META_L4PROTO);
}

static void add_kind(const struct network_pick *pick, unsigned family, bool has_ports,
		     bool is_ingress, unsigned at, const char *chain, const char *next,
		     struct nft_batch *batch)
{
	char full[NETWORK_CHAIN_SIZE], comment[48];

	snprintf(comment, sizeof(comment), "after %" PRIu64 " bytes", pick->after_bytes);
	snprintf(full, sizeof(full), "full%u", at);
	load_key(family, has_ports, is_ingress, chain, batch);
	nft_remember_bytes(batch, 0, set_name[family], pick->after_bytes);
	nft_go_to(batch, next);
	nft_rule_end(batch, comment);
	load_key(family, has_ports, is_ingress, chain, batch);
	nft_lookup(batch, 0, set_name[family], true);
	nft_count(batch, full);
	nft_rule_end(batch, "no room for more flows");
	if (!has_ports)
		return;
	nft_rule_begin(batch, chain);
	nft_match_family(batch, families[family]);
	nft_match_has_ports(batch);
	nft_verdict(batch, NF_ACCEPT);
	nft_rule_end(batch, "not yet");
}

void network_after_add(const struct network_pick *pick, bool is_ingress, unsigned at,
		       const char *chain, const char *next, struct nft_batch *batch)
{
	nft_add_chain(batch, chain);
	for (unsigned family = 0; family < 2; family++) {
		add_kind(pick, family, true, is_ingress, at, chain, next, batch);
		add_kind(pick, family, false, is_ingress, at, chain, next, batch);
	}
}

/* In a namespace of its own, which nothing goes through. */
static int try_counting(void *answer, struct error *err)
{
	const struct network_pick pick = {.after_bytes = 1};
	struct nft_batch batch;
	struct netlink *netlink;
	int result = netlink_open_netfilter(-1, &netlink, err);

	(void)answer;
	if (result < 0)
		return result;
	nft_batch_begin(&batch);
	nft_add_table(&batch, NFPROTO_NETDEV, "squall_probe", NULL);
	nft_add_counter(&batch, "full0");
	nft_add_chain(&batch, "next");
	network_after_add_sets(&pick, &batch);
	network_after_add(&pick, false, 0, "after0", "next", &batch);
	result = nft_commit(netlink, &batch, err);
	netlink_close(netlink);
	return result;
}

int network_after_list(const struct params *params, struct plan *plan)
{
	if (!params_is_set(params, NETWORK_AFTER_BYTES))
		return 0;
	return plan_add(plan, PLAN_TARGET, "of that, flows of which more than %s have passed",
			params_text(params, NETWORK_AFTER_BYTES));
}

/* A map of the programs needs nothing that the programs do not. */
int network_after_plan(const struct network_state *state, struct plan *plan, struct error *err)
{
	int result;

	if (!state->after_bytes)
		return 0;
	if (state->hook == NETWORK_TABLE) {
		result = trial_run(try_counting, NULL, 0, err);
		if (result < 0) {
			error_prefix(err, "after-bytes: nf_tables cannot count each flow here");
			return error_remedy(err, "modprobe nft_quota, or a kernel with "
						 "CONFIG_NFT_QUOTA; without after-bytes the fault "
						 "works");
		}
	}
	if (state->hook == NETWORK_GATE)
		return plan_add(plan, PLAN_NOTE,
				"the bytes of %d flows are counted; of more, those that were "
				"silent longest begin anew",
				NETWORK_AFTER_MAP);
	return plan_add(
		plan, PLAN_NOTE,
		"the bytes of %d flows of IPv4 and as many of IPv6 are counted, the packets "
		"of others pass (and are counted as such); one that is silent for %d minutes "
		"begins anew",
		NETWORK_AFTER_FLOWS, NETWORK_AFTER_FORGET_S / 60);
}
