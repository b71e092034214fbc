/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The BPF program at a connect hook, written for one scope: is it the protocol? one of the
 * addresses? one of the processes? by chance? then count, and fail. What does not hold jumps to the
 * end, which lets the call pass.
 */
#include "faults/connect.h"

#include "injector/kernel/bpf_builder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { R0, R1, R2, R3, R4, IS_MAPPED, CONTEXT, PORT, VALUE, WANTED, STACK };

#define FIELD(name) offsetof(struct bpf_sock_addr, name)

static void point_to_stack(struct bpf_builder *builder, unsigned reg, int offset)
{
	bpf_copy(builder, reg, STACK);
	bpf_compute_value(builder, BPF_ADD, reg, offset);
}

/* R0: address of the entry for the key at -4 of the stack; without one it goes to `otherwise`. */
static void look_up(struct bpf_builder *builder, int map, unsigned otherwise)
{
	point_to_stack(builder, R2, -4);
	bpf_set_map(builder, R1, map);
	bpf_call(builder, BPF_FUNC_map_lookup_elem);
	bpf_jump_if_null(builder, R0, otherwise);
}

static void find_counter(struct bpf_builder *builder, const struct connect_scope *scope,
			 enum connect_counter counter, unsigned allow)
{
	bpf_write_value(builder, BPF_W, STACK, -4, counter);
	look_up(builder, scope->counter_map, allow); /* always there, which the verifier ignores */
}

static void count(struct bpf_builder *builder, const struct connect_scope *scope,
		  enum connect_counter counter, unsigned allow)
{
	find_counter(builder, scope, counter, allow);
	bpf_set(builder, R1, 1);
	bpf_add_atomic(builder, R0, 0, R1);
}

static void set64(struct bpf_builder *builder, unsigned reg, uint64_t value)
{
	bpf_set(builder, reg, (uint32_t)(value >> 32));
	bpf_compute_value(builder, BPF_LSH, reg, 32);
	bpf_set(builder, WANTED, (uint32_t)value);
	bpf_compute(builder, BPF_OR, reg, WANTED);
}

static void test_process(struct bpf_builder *builder, const struct connect_scope *scope,
			 unsigned allow)
{
	if (scope->process_map < 0)
		return;
	if (scope->namespace_inode) { /* writes struct bpf_pidns_info: pid, tgid */
		set64(builder, R1, scope->namespace_device);
		set64(builder, R2, scope->namespace_inode);
		point_to_stack(builder, R3, -8);
		bpf_set(builder, R4, 8);
		bpf_call(builder, BPF_FUNC_get_ns_current_pid_tgid);
		bpf_jump_if(builder, BPF_JNE, R0, 0, allow);
	} else {
		bpf_call(builder, BPF_FUNC_get_current_pid_tgid);
		bpf_compute_value(builder, BPF_RSH, R0, 32);
		bpf_write(builder, BPF_W, STACK, -4, R0);
	}
	look_up(builder, scope->process_map, allow);
}

/* Words of an address from `offset` of the context against those of a network. */
static void test_words(struct bpf_builder *builder, size_t offset, const uint8_t *address,
		       unsigned prefix, unsigned miss)
{
	for (unsigned word = 0; prefix > 0; word++) {
		unsigned bits = prefix < 32 ? prefix : 32;
		uint32_t wanted;

		memcpy(&wanted, address + (size_t)word * 4, sizeof(wanted));
		bpf_read(builder, BPF_W, VALUE, CONTEXT, (int)(offset + (size_t)word * 4));
		if (bits < 32)
			bpf_compute32_value(builder, BPF_AND, VALUE, htonl(~(UINT32_MAX >> bits)));
		bpf_set(builder, WANTED, wanted);
		bpf_jump_if_register(builder, BPF_JNE, VALUE, WANTED, miss);
		prefix -= bits;
	}
}

/* ::ffff:0:0/96: an IPv6 socket that connects over IPv4 */
static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static void find_mapped(struct bpf_builder *builder)
{
	unsigned native = bpf_label(builder);

	bpf_set(builder, IS_MAPPED, 0);
	test_words(builder, FIELD(user_ip6), mapped, sizeof(mapped) * 8, native);
	bpf_set(builder, IS_MAPPED, 1);
	bpf_place(builder, native);
}

static void test_address(struct bpf_builder *builder, int family, const struct endpoint *endpoint,
			 unsigned miss)
{
	if (endpoint->family == AF_INET && family == AF_INET) {
		test_words(builder, FIELD(user_ip4), endpoint->address, endpoint->prefix, miss);
	} else if (endpoint->family == AF_INET) { /* ::ffff:10.0.0.1, as Java connects */
		test_words(builder, FIELD(user_ip6), mapped, 96, miss);
		test_words(builder, FIELD(user_ip6) + 12, endpoint->address, endpoint->prefix,
			   miss);
	} else if (endpoint->family == AF_INET6) {
		/* ::/0 or ::/64 are not meant for what goes over IPv4, and are not asked about as
		 * such by a site's policy */
		bpf_jump_if(builder, BPF_JEQ, IS_MAPPED, 1, miss);
		test_words(builder, FIELD(user_ip6), endpoint->address, endpoint->prefix, miss);
	}
}

static void test_port(struct bpf_builder *builder, const struct endpoint *endpoint, unsigned miss)
{
	if (!endpoint->port_first)
		return;
	bpf_jump_if(builder, BPF_JLT, PORT, endpoint->port_first, miss);
	bpf_jump_if(builder, BPF_JGT, PORT, endpoint->port_last, miss);
}

/* By a condition that always holds, for the verifier refuses what nothing leads to. */
static void jump_always(struct bpf_builder *builder, unsigned label)
{
	bpf_jump_if_register(builder, BPF_JEQ, PORT, PORT, label);
}

/* Goes to `hit` if it is one of the endpoints. */
static void test_endpoints(struct bpf_builder *builder, const struct params *params, unsigned key,
			   int family, unsigned hit)
{
	for (unsigned i = 0; i < params_count(params, key); i++) {
		const struct endpoint *endpoint = &params_value(params, key, i)->endpoint;
		unsigned miss = bpf_label(builder);

		if (endpoint->family != AF_INET6 || family == AF_INET6) {
			test_address(builder, family, endpoint, miss);
			test_port(builder, endpoint, miss);
			jump_always(builder, hit); /* there may have been no test */
		}
		bpf_place(builder, miss);
	}
}

static void test_scope(struct bpf_builder *builder, const struct connect_scope *scope, int family,
		       unsigned allow)
{
	unsigned within = bpf_label(builder);

	if (scope->protocol) {
		bpf_read(builder, BPF_W, VALUE, CONTEXT, FIELD(protocol));
		bpf_jump_if(builder, BPF_JNE, VALUE, (uint32_t)scope->protocol, allow);
	}
	bpf_read(builder, BPF_W, PORT, CONTEXT, FIELD(user_port));
	bpf_to_host(builder, PORT, 16);
	if (family == AF_INET6)
		find_mapped(builder);
	test_endpoints(builder, scope->params, scope->except_key, family, allow);
	if (params_count(scope->params, scope->to_key)) {
		test_endpoints(builder, scope->params, scope->to_key, family, within);
		jump_always(builder, allow); /* there may be none of this family */
	}
	bpf_place(builder, within);
	test_process(builder, scope, allow);
}

static void write_program(struct bpf_builder *builder, const struct connect_scope *scope,
			  int family)
{
	unsigned allow = bpf_label(builder);

	bpf_copy(builder, CONTEXT, R1);
	test_scope(builder, scope, family, allow);
	count(builder, scope, CONNECT_SEEN, allow);
	bpf_call(builder, BPF_FUNC_get_prandom_u32);
	bpf_compute32_value(builder, BPF_AND, R0, UINT32_MAX);
	bpf_copy(builder, PORT, R0);
	find_counter(builder, scope, CONNECT_THRESHOLD, allow);
	bpf_read(builder, BPF_DW, VALUE, R0, 0);
	bpf_jump_if_register(builder, BPF_JGE, PORT, VALUE, allow);
	count(builder, scope, CONNECT_HIT, allow);
	if (scope->error != EPERM) { /* which is what a refusal means without more words */
		bpf_set(builder, R1, (uint32_t)-scope->error);
		bpf_call(builder, BPF_FUNC_set_retval);
	}
	bpf_set(builder, R0, 0);
	bpf_exit(builder);
	bpf_place(builder, allow);
	bpf_set(builder, R0, 1);
	bpf_exit(builder);
}

int connect_program_load(const struct connect_scope *scope, int family, const char *name,
			 int *out_fd, struct error *err)
{
	struct bpf_builder *builder = malloc(sizeof(*builder)); /* large for a stack */
	struct bpf_code code = {.name = name,
				.type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
				.attach = family == AF_INET ? BPF_CGROUP_INET4_CONNECT
							    : BPF_CGROUP_INET6_CONNECT};
	int result;

	if (!builder)
		return error_errno(err, ENOMEM, "cannot write a BPF program");
	bpf_builder_init(builder);
	write_program(builder, scope, family);
	result = bpf_builder_finish(builder, &code, err);
	if (result == 0)
		result = bpf_load(&code, out_fd, err);
	bpf_builder_free(builder);
	free(builder);
	return result;
}
