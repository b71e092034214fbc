/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/machine_bpf.h"

#include "injector/base/clock.h"

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BPF_MAX	  4096
#define BPF_NOTES 256

static uint32_t bpf_newest[MACHINE_BPF_KINDS];

static const int bpf_next[MACHINE_BPF_KINDS] = {BPF_PROG_GET_NEXT_ID, BPF_MAP_GET_NEXT_ID,
						BPF_LINK_GET_NEXT_ID};
static const char *const bpf_names[MACHINE_BPF_KINDS] = {"program", "map", "link"};

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

void machine_bpf_remember(void)
{
	for (unsigned kind = 0; kind < MACHINE_BPF_KINDS; kind++) {
		union bpf_attr attr = {.start_id = 0};

		while (bpf(bpf_next[kind], &attr) == 0) {
			bpf_newest[kind] = attr.next_id;
			attr = (union bpf_attr){.start_id = attr.next_id};
		}
	}
}

void machine_bpf_newest(uint32_t out[MACHINE_BPF_KINDS])
{
	memcpy(out, bpf_newest, sizeof(bpf_newest));
}

void machine_bpf_since(const uint32_t newest[MACHINE_BPF_KINDS])
{
	memcpy(bpf_newest, newest, sizeof(bpf_newest));
}

/* Never by a descriptor for it: who closes the last one of an array of programs has it emptied by
 * the kernel's worker, later; who does it twice before that, the owner and whoever looks, leaves a
 * reference to it for good (prog_array_map_clear(), kernel/bpf/arraymap.c). */
static bool is_bpf_there(unsigned kind, uint32_t id)
{
	union bpf_attr attr = {.start_id = id - 1};

	return bpf(bpf_next[kind], &attr) == 0 && attr.next_id == id;
}

static unsigned list_bpf(unsigned kind, uint32_t newest, uint32_t *out)
{
	union bpf_attr attr = {.start_id = newest};
	unsigned count = 0;

	while (count < BPF_MAX && bpf(bpf_next[kind], &attr) == 0) {
		out[count++] = attr.next_id;
		attr = (union bpf_attr){.start_id = attr.next_id};
	}
	return count;
}

/* Objects that were there for longer than behind a point of death they should be. Often they are
 * somebody else's, and go. */
static struct {
	unsigned kind;
	uint32_t id;
	char where[120];
} bpf_notes[BPF_NOTES];
static unsigned bpf_note_count;
static uint32_t bpf_looked_at[MACHINE_BPF_KINDS];

void machine_bpf_note(const char *where, int64_t most_ns)
{
	int64_t until_ns = clock_now_ns() + most_ns;

	for (unsigned kind = 0; kind < MACHINE_BPF_KINDS; kind++) {
		uint32_t ids[BPF_MAX], *looked_at = &bpf_looked_at[kind];
		unsigned count;

		if (*looked_at < bpf_newest[kind])
			*looked_at = bpf_newest[kind];
		count = list_bpf(kind, *looked_at, ids);
		for (unsigned i = 0; i < count; i++) {
			while (is_bpf_there(kind, ids[i]) && clock_now_ns() < until_ns)
				usleep(5000);
			*looked_at = ids[i];
			if (bpf_note_count == BPF_NOTES || !is_bpf_there(kind, ids[i]))
				continue;
			bpf_notes[bpf_note_count].kind = kind;
			bpf_notes[bpf_note_count].id = ids[i];
			snprintf(bpf_notes[bpf_note_count].where,
				 sizeof(bpf_notes[bpf_note_count].where), "%s", where);
			bpf_note_count++;
		}
	}
}

static const char *where_noted(unsigned kind, uint32_t id)
{
	for (unsigned i = 0; i < bpf_note_count; i++)
		if (bpf_notes[i].kind == kind && bpf_notes[i].id == id)
			return bpf_notes[i].where;
	return "a moment that was not noted";
}

char *machine_bpf_left(int64_t most_ns)
{
	int64_t until_ns = clock_now_ns() + most_ns;
	uint32_t ids[MACHINE_BPF_KINDS][BPF_MAX];
	unsigned counts[MACHINE_BPF_KINDS];
	char *text = NULL;

	for (unsigned kind = 0; kind < MACHINE_BPF_KINDS; kind++)
		counts[kind] = list_bpf(kind, bpf_newest[kind], ids[kind]);
	for (unsigned kind = 0; kind < MACHINE_BPF_KINDS; kind++)
		for (unsigned i = 0; i < counts[kind]; i++) {
			while (is_bpf_there(kind, ids[kind][i]) && clock_now_ns() < until_ns)
				usleep(10000);
			if (!text && is_bpf_there(kind, ids[kind][i]) &&
			    asprintf(&text, "bpf %s %u, there since %s", bpf_names[kind],
				     ids[kind][i], where_noted(kind, ids[kind][i])) < 0)
				abort();
		}
	return text;
}
