/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/prefault.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ /* Linux 5.14; libc's headers may be older than its kernel */
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define STACK_BYTES (24 * 1024) /* the kernel gives a stack of 128 KiB to begin with */
#define HEAP_BYTES  (48 * 1024) /* at a time; opendir(3) and a program of BPF take 32 KiB */
/* Tables that are hardly filled come from mmap(2), as zeros that cost nothing; calloc(3) of the
 * heap would clear, and thereby fault in, every page of them. */
#define MAPPED_FROM (40 * 1024) /* not what opendir(3) takes: unmapping is dear */

#define RANGES 24 /* program, libc, loader, vdso: at most five each */

static uintptr_t heap_start;

/* Looked up once: dl_iterate_phdr(3) in a child would itself take ten faults. */
static struct range {
	uintptr_t start, length;
	int how;
} ranges[RANGES];
static unsigned range_count;

static void add(uintptr_t from, uintptr_t to, int how)
{
	if (range_count < RANGES)
		ranges[range_count++] =
			(struct range){.start = from, .length = to - from, .how = how};
}

static uintptr_t page_of(uintptr_t address)
{
	return address & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
}

/* Where what was relocated, and is read-only since, ends; 0: there is none. */
static uintptr_t relocated_end(const struct dl_phdr_info *object)
{
	for (unsigned i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];

		if (part->p_type == PT_GNU_RELRO)
			return object->dlpi_addr + part->p_vaddr + part->p_memsz;
	}
	return 0;
}

/* Code and data, but no zeros: those are large buffers, mostly for a bad day. */
static int add_object(struct dl_phdr_info *object, size_t size, void *context)
{
	const uintptr_t writable = relocated_end(object);

	(void)size;
	(void)context;
	for (unsigned i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];
		uintptr_t start = object->dlpi_addr + part->p_vaddr;
		uintptr_t end = start + part->p_filesz;

		if (part->p_type != PT_LOAD)
			continue;
		if (part->p_flags & PF_W)
			add(page_of(start < writable && writable < end ? writable : start), end,
			    MADV_POPULATE_WRITE);
		else
			add(page_of(start), end, MADV_POPULATE_READ);
	}
	return 0;
}

static void populate(int how)
{
	for (unsigned i = 0; i < range_count; i++)
		if (ranges[i].how == how)
			madvise((void *)ranges[i].start, ranges[i].length, how);
}

void prefault_program(void)
{
	void *volatile block; /* a pair that is of no use would not be compiled */

	heap_start = page_of((uintptr_t)sbrk(0));
	mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
	mallopt(M_TOP_PAD, HEAP_BYTES); /* a large rest of the heap would serve large tables */
	/* makes the heap; libc looks up its own realloc(3) at the first call of this */
	block = reallocarray(NULL, 1, 1);
	free(block);
	dl_iterate_phdr(add_object, NULL);
	populate(MADV_POPULATE_READ);
}

void prefault_after_fork(void)
{
	const uintptr_t stack = (uintptr_t)__builtin_frame_address(0);
	const uintptr_t below = page_of(stack - STACK_BYTES);

	madvise((void *)below, stack + 4096 - below, MADV_POPULATE_WRITE);
	populate(MADV_POPULATE_READ);
	populate(MADV_POPULATE_WRITE);
	if (heap_start) /* not in a program that did not begin with prefault_program() */
		madvise((void *)heap_start, (uintptr_t)sbrk(0) - heap_start, MADV_POPULATE_WRITE);
}
