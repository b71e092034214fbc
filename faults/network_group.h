/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whose packets: a network fault that is limited to control groups.
 *
 * With nf_tables: a BPF program at the egress hook of each group, the last place where a packet is
 * seen with its socket, sets one bit of the packet's mark; the step's chain on the interface, the
 * next place it comes to, takes the bit off again and goes on with what had it. Everything else of
 * the mark stays, and no chain or rule of the IP layer ever sees the bit. A delay line in between,
 * of another step, hands the bit on (delay_return.h). With tc filters: they ask the kernel for the
 * group of the packet's socket, and nothing is marked.
 *
 * What comes in has no socket yet: it belongs to the group when it answers what the group has sent,
 * so the flows of what leaves are remembered.
 */
#ifndef SQUALL_NETWORK_GROUP_H
#define SQUALL_NETWORK_GROUP_H

#include "faults/network.h"

struct network_group {
	const struct target *target;
	uint32_t bit;	  /* of the mark; NETWORK_TABLE, chosen at each injection */
	char program[16]; /* its name, by which its links are found */
	int *links;	  /* owned, one for each group; -1: none */
	uint64_t *linked; /* owned, the numbers of the groups that they are at */
	int switch_map;	  /* one number: the programs do something */
	int paths_map;	  /* NETWORK_TABLE: interfaces where the bit is taken off again */
	int flows_map;	  /* NETWORK_GATE with ingress: struct network_flow; -1 */
	int groups_map;	  /* NETWORK_GATE: the groups, to be asked for by number; -1 */
};

/* What is remembered: near and far side, in network order. */
struct network_flow {
	uint8_t near[16], far[16];
	uint16_t near_port, far_port;
	uint32_t protocol; /* of the transport, and the family << 8 */
};

/* Plan: checks, opens maps, and lists. Nothing to do when the target asks for no groups. */
int network_group_prepare(struct network_state *state, const struct fault *fault, struct plan *plan,
			  struct error *err);
/* Journals, and attaches what is inert so far. */
int network_group_attach(struct network_state *state, const struct fault *fault, struct error *err);
/* It begins, as a whole; and ends. */
int network_group_switch(struct network_state *state, bool is_on, struct error *err);
void network_group_detach(struct network_state *state);
/* The target's groups are others now. */
int network_group_follow(struct network_state *state, struct error *err);
/* What leaves by an interface that a path was added for is marked from now on; or no more, when the
 * last one is cut. */
int network_group_add_path(struct network_state *state, unsigned at, struct error *err);
void network_group_cut_path(struct network_state *state, unsigned at);
/* -EINVAL: no packet of a group ever leaves by that one. */
int network_group_check_path(const struct network_state *state, unsigned at, struct error *err);
/* -ESTALE: a group was removed, so that nothing is matched any more. */
int network_group_check(const struct network_state *state, struct error *err);
void network_group_free(struct network_state *state);

/* All that any group's bit can be. */
uint32_t network_group_bits(void);

/* network_group_rules.c: sets, once a table; and what stands before the scope in the chain of a
 * path: names in `chain` where the packets of the groups go on. */
void network_group_add_sets(const struct network_state *state, struct nft_batch *batch);
void network_group_add_rules(const struct network_state *state, unsigned at, int32_t priority,
			     char chain[NETWORK_CHAIN_SIZE], struct nft_batch *batch);
/* The chains of a path, which nothing goes to any more; the one that looks has been deleted. */
void network_group_delete_rules(const struct network_state *state, unsigned at,
				struct nft_batch *batch);
/* The chain at a hook that looks at what leaves though only what comes in is affected, or NULL. */
const char *network_group_looking_chain(const struct network_state *state, unsigned at,
					char out[NETWORK_CHAIN_SIZE]);
/* Ingress packets are matched somewhere. */
bool network_group_has_ingress(const struct network_state *state);

/* network_group_program.c: marks, or remembers flows. */
int network_group_load(const struct network_state *state, int *out_program_fd, struct error *err);
/* For the programs of the gate as well, whose packet was parsed: goes on if the flow is known, else
 * to `miss`. */
struct gate_writer;
/* The key of the packet's flow (struct network_flow) to the stack; an echo's with its number, if
 * that counts. */
#define NETWORK_FLOW_KEY (-136)
void network_flow_write_key(struct gate_writer *w, int family, bool has_echo);
void network_flow_match(struct gate_writer *w, int family, int map_fd);

#endif
