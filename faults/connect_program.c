/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The BPF program at a connect hook, written for one scope: is it one of the processes? the
 * protocol? one of the addresses? by chance? then count, and fail. All tests that do not hold jump
 * to the end, which lets the call pass.
 *
 * Registers: R6 the context, R7 the port in host order, R8 and R9 for what outlives no call.
 */
#include "faults/connect.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/bpf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define PER_ENDPOINT 20 /* instructions, at most */
#define FIXED	     96

struct writer {
	struct bpf_insn *code; /* owned */
	unsigned count, capacity;
	unsigned allow[16], allow_count; /* jumps to the end */
};

static unsigned put(struct writer *writer, uint8_t code, uint8_t to, uint8_t from, int16_t offset,
		    int32_t value)
{
	if (writer->count < writer->capacity)
		writer->code[writer->count] = (struct bpf_insn){.code = code,
								.dst_reg = to & 15,
								.src_reg = from & 15,
								.off = offset,
								.imm = value};
	return writer->count++;
}

static void set(struct writer *writer, uint8_t reg, int32_t value)
{
	put(writer, BPF_ALU | BPF_MOV | BPF_K, reg, 0, 0, value); /* the upper half becomes 0 */
}

static void copy(struct writer *writer, uint8_t to, uint8_t from)
{
	put(writer, BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0);
}

static void load(struct writer *writer, uint8_t reg, size_t offset)
{
	put(writer, BPF_LDX | BPF_MEM | BPF_W, reg, BPF_REG_6, (int16_t)offset, 0);
}

static void call(struct writer *writer, int32_t function)
{
	put(writer, BPF_JMP | BPF_CALL, 0, 0, 0, function);
}

static unsigned jump_if(struct writer *writer, uint8_t op, uint8_t reg, int32_t value)
{
	return put(writer, (uint8_t)(BPF_JMP | op | BPF_K), reg, 0, 0, value);
}

static unsigned jump_if_other(struct writer *writer, uint8_t a, uint8_t b)
{
	return put(writer, BPF_JMP | BPF_JNE | BPF_X, a, b, 0, 0);
}

/* The jump at `from` leads here. */
static void land(struct writer *writer, unsigned from)
{
	if (from < writer->capacity)
		writer->code[from].off = (int16_t)(writer->count - from - 1);
}

static void allow_if(struct writer *writer, unsigned jump)
{
	writer->allow[writer->allow_count++] = jump;
}

static void map_address(struct writer *writer, uint8_t reg, int map)
{
	put(writer, BPF_LD | BPF_DW | BPF_IMM, reg, BPF_PSEUDO_MAP_FD, 0, map);
	put(writer, 0, 0, 0, 0, 0);
}

/* R0: address of a counter; never null for an array and a key in range, which the verifier wants to
 * see tested. */
static void find_counter(struct writer *writer, const struct connect_scope *scope,
			 enum connect_counter counter)
{
	put(writer, BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, -4, counter);
	copy(writer, BPF_REG_2, BPF_REG_10);
	put(writer, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -4);
	map_address(writer, BPF_REG_1, scope->counter_map);
	call(writer, BPF_FUNC_map_lookup_elem);
	allow_if(writer, jump_if(writer, BPF_JEQ, BPF_REG_0, 0));
}

static void count(struct writer *writer, const struct connect_scope *scope,
		  enum connect_counter counter)
{
	find_counter(writer, scope, counter);
	set(writer, BPF_REG_1, 1);
	put(writer, BPF_STX | BPF_XADD | BPF_DW, BPF_REG_0, BPF_REG_1, 0, 0);
}

static void test_process(struct writer *writer, const struct connect_scope *scope)
{
	if (scope->process_map < 0)
		return;
	if (scope->namespace_inode) {
		/* struct bpf_pidns_info: pid, tgid */
		put(writer, BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, 0, 0,
		    (int32_t)scope->namespace_device);
		put(writer, 0, 0, 0, 0, (int32_t)(scope->namespace_device >> 32));
		put(writer, BPF_LD | BPF_DW | BPF_IMM, BPF_REG_2, 0, 0,
		    (int32_t)scope->namespace_inode);
		put(writer, 0, 0, 0, 0, (int32_t)(scope->namespace_inode >> 32));
		copy(writer, BPF_REG_3, BPF_REG_10);
		put(writer, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, -8);
		set(writer, BPF_REG_4, 8);
		call(writer, BPF_FUNC_get_ns_current_pid_tgid);
		allow_if(writer, jump_if(writer, BPF_JNE, BPF_REG_0, 0));
	} else {
		call(writer, BPF_FUNC_get_current_pid_tgid);
		put(writer, BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_0, 0, 0, 32);
		put(writer, BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, BPF_REG_0, -4, 0);
	}
	copy(writer, BPF_REG_2, BPF_REG_10);
	put(writer, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -4);
	map_address(writer, BPF_REG_1, scope->process_map);
	call(writer, BPF_FUNC_map_lookup_elem);
	allow_if(writer, jump_if(writer, BPF_JEQ, BPF_REG_0, 0));
}

/* Jumps that leave an endpoint for the next one. */
struct misses {
	unsigned jumps[8], count;
};

static void miss_if(struct misses *misses, unsigned jump)
{
	misses->jumps[misses->count++] = jump;
}

/* Words of an address from `offset` in the context against those of a network. */
static void test_words(struct writer *writer, size_t offset, const uint8_t *address,
		       unsigned prefix, struct misses *misses)
{
	for (unsigned word = 0; prefix > 0; word++) {
		unsigned bits = prefix < 32 ? prefix : 32;
		uint32_t wanted, mask = htonl(bits == 32 ? UINT32_MAX : ~(UINT32_MAX >> bits));

		memcpy(&wanted, address + word * 4, 4);
		load(writer, BPF_REG_8, offset + word * 4);
		if (bits < 32)
			put(writer, BPF_ALU | BPF_AND | BPF_K, BPF_REG_8, 0, 0, (int32_t)mask);
		/* by a register: an immediate value would be extended by its sign */
		set(writer, BPF_REG_9, (int32_t)wanted);
		miss_if(misses, jump_if_other(writer, BPF_REG_8, BPF_REG_9));
		prefix -= bits;
	}
}

static void test_address(struct writer *writer, int family, const struct endpoint *endpoint,
			 struct misses *misses)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (endpoint->family == AF_UNSPEC)
		return;
	if (endpoint->family == AF_INET && family == AF_INET) {
		test_words(writer, offsetof(struct bpf_sock_addr, user_ip4), endpoint->address,
			   endpoint->prefix, misses);
		return;
	}
	if (endpoint->family == AF_INET) { /* ::ffff:10.0.0.1, as Java connects */
		test_words(writer, offsetof(struct bpf_sock_addr, user_ip6), mapped, 96, misses);
		test_words(writer, offsetof(struct bpf_sock_addr, user_ip6[3]), endpoint->address,
			   endpoint->prefix, misses);
		return;
	}
	test_words(writer, offsetof(struct bpf_sock_addr, user_ip6), endpoint->address,
		   endpoint->prefix, misses);
}

static void test_port(struct writer *writer, const struct endpoint *endpoint, struct misses *misses)
{
	if (!endpoint->port_first)
		return;
	if (endpoint->port_first == endpoint->port_last) {
		miss_if(misses, jump_if(writer, BPF_JNE, BPF_REG_7, endpoint->port_first));
		return;
	}
	miss_if(misses, jump_if(writer, BPF_JLT, BPF_REG_7, endpoint->port_first));
	miss_if(misses, jump_if(writer, BPF_JGT, BPF_REG_7, endpoint->port_last));
}

/* Returns the jump that leads on if it is the endpoint. */
static unsigned test_endpoint(struct writer *writer, int family, const struct endpoint *endpoint)
{
	struct misses misses = {.count = 0};
	unsigned hit;

	test_address(writer, family, endpoint, &misses);
	test_port(writer, endpoint, &misses);
	/* without a test: a condition that always holds, for the verifier refuses code that nothing
	 * leads to */
	hit = misses.count ? put(writer, BPF_JMP | BPF_JA, 0, 0, 0, 0)
			   : put(writer, BPF_JMP | BPF_JEQ | BPF_X, BPF_REG_7, BPF_REG_7, 0, 0);
	for (unsigned i = 0; i < misses.count; i++)
		land(writer, misses.jumps[i]);
	return hit;
}

static bool concerns(int family, const struct endpoint *endpoint)
{
	return family == AF_INET6 || endpoint->family != AF_INET6;
}

static void test_endpoints(struct writer *writer, const struct connect_scope *scope, int family,
			   unsigned *hits)
{
	unsigned count = params_count(scope->params, scope->to_key), hit_count = 0;

	load(writer, BPF_REG_7, offsetof(struct bpf_sock_addr, user_port));
	put(writer, BPF_ALU | BPF_END | BPF_TO_BE, BPF_REG_7, 0, 0, 16);
	for (unsigned i = 0; i < params_count(scope->params, scope->except_key); i++) {
		const struct endpoint *endpoint =
			&params_value(scope->params, scope->except_key, i)->endpoint;

		if (concerns(family, endpoint))
			hits[hit_count++] = test_endpoint(writer, family, endpoint);
	}
	/* what is excepted jumps over the rest, to one jump that lets it pass */
	if (hit_count) {
		unsigned over = put(writer, BPF_JMP | BPF_JA, 0, 0, 0, 0);

		while (hit_count)
			land(writer, hits[--hit_count]);
		allow_if(writer, put(writer, BPF_JMP | BPF_JA, 0, 0, 0, 0));
		land(writer, over);
	}
	if (count == 0)
		return;
	for (unsigned i = 0; i < count; i++) {
		const struct endpoint *endpoint =
			&params_value(scope->params, scope->to_key, i)->endpoint;

		if (concerns(family, endpoint))
			hits[hit_count++] = test_endpoint(writer, family, endpoint);
	}
	allow_if(writer, put(writer, BPF_JMP | BPF_JA, 0, 0, 0, 0));
	while (hit_count)
		land(writer, hits[--hit_count]);
}

static void write_program(struct writer *writer, const struct connect_scope *scope, int family,
			  unsigned *hits)
{
	copy(writer, BPF_REG_6, BPF_REG_1);
	if (scope->protocol) {
		load(writer, BPF_REG_8, offsetof(struct bpf_sock_addr, protocol));
		allow_if(writer, jump_if(writer, BPF_JNE, BPF_REG_8, scope->protocol));
	}
	test_endpoints(writer, scope, family, hits);
	test_process(writer, scope);
	count(writer, scope, CONNECT_SEEN);
	call(writer, BPF_FUNC_get_prandom_u32);
	copy(writer, BPF_REG_7, BPF_REG_0);
	put(writer, BPF_ALU | BPF_MOV | BPF_X, BPF_REG_7, BPF_REG_7, 0, 0); /* 32 bits */
	find_counter(writer, scope, CONNECT_THRESHOLD);
	put(writer, BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_8, BPF_REG_0, 0, 0);
	allow_if(writer, put(writer, BPF_JMP | BPF_JGE | BPF_X, BPF_REG_7, BPF_REG_8, 0, 0));
	count(writer, scope, CONNECT_HIT);
	if (scope->error != EPERM) { /* that is what a refusal means without more words */
		set(writer, BPF_REG_1, -scope->error);
		call(writer, BPF_FUNC_set_retval);
	}
	set(writer, BPF_REG_0, 0);
	put(writer, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	for (unsigned i = 0; i < writer->allow_count; i++)
		land(writer, writer->allow[i]);
	set(writer, BPF_REG_0, 1);
	put(writer, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

int connect_program_load(const struct connect_scope *scope, int family, const char *name,
			 int *out_fd, struct error *err)
{
	unsigned endpoints = params_count(scope->params, scope->to_key) +
			     params_count(scope->params, scope->except_key);
	struct writer writer = {.capacity = FIXED + endpoints * PER_ENDPOINT};
	cleanup_free unsigned *hits = calloc(endpoints + 1, sizeof(*hits));
	cleanup_free struct bpf_insn *code = calloc(writer.capacity, sizeof(*code));
	struct bpf_code program = {.name = name,
				   .type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
				   .attach = family == AF_INET ? BPF_CGROUP_INET4_CONNECT
							       : BPF_CGROUP_INET6_CONNECT,
				   .instructions = code};

	if (!hits || !code)
		return error_errno(err, ENOMEM, "cannot write the BPF program");
	writer.code = code;
	write_program(&writer, scope, family, hits);
	if (writer.count > writer.capacity || writer.count > INT16_MAX)
		return error_set(err, E2BIG, "too many endpoints for one BPF program");
	program.count = writer.count;
	return bpf_load(&program, out_fd, err);
}
