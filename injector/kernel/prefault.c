/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/prefault.h"

#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ /* Linux 5.14; libc's headers may be older than its kernel */
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define STACK_BYTES (24 * 1024) /* the kernel gives a stack of 128 KiB to begin with */
#define HEAP_BYTES  (16 * 1024) /* at a time */
/* Tables that are hardly filled come from mmap(2), as zeros that cost nothing; calloc(3) of the
 * heap would clear, and thereby fault in, every page of them. */
#define MAPPED_FROM (40 * 1024) /* not what opendir(3) takes: unmapping is dear */

static uintptr_t heap_start;

struct populating {
	bool is_library; /* after the first one, which is the program */
};

static void populate(uintptr_t from, uintptr_t to, int how)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	from &= ~(page - 1);
	madvise((void *)from, to - from, how);
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

/* Code and data of the program, which comes first, and of the libraries: of libc too little is run
 * to read it in from a disk, but whoever else runs has done that. */
static int populate_object(struct dl_phdr_info *object, size_t size, void *context)
{
	struct populating *populating = context;
	const uintptr_t writable = relocated_end(object);

	(void)size;
	for (unsigned i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];
		uintptr_t start = object->dlpi_addr + part->p_vaddr;
		/* the program's own zeros are large buffers, mostly for a bad day */
		uintptr_t end =
			start + (part->p_flags & PF_W && !populating->is_library ? part->p_filesz
										 : part->p_memsz);

		if (part->p_type != PT_LOAD)
			continue;
		if (part->p_flags & PF_W)
			populate(start < writable && writable < end ? writable : start, end,
				 MADV_POPULATE_WRITE);
		else if (!(part->p_flags & PF_W) &&
			 (part->p_flags & PF_X || !populating->is_library))
			populate(start, start + part->p_memsz, MADV_POPULATE_READ);
	}
	populating->is_library = true;
	return 0;
}

void prefault_program(void)
{
	struct populating populating = {.is_library = false};
	uintptr_t stack = (uintptr_t)__builtin_frame_address(0);
	void *volatile block; /* a pair that is of no use would not be compiled */

	heap_start = (uintptr_t)sbrk(0);
	mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
	mallopt(M_TOP_PAD, HEAP_BYTES); /* a large rest of the heap would serve large tables */
	block = malloc(1);		/* makes the heap */
	free(block);
	dl_iterate_phdr(populate_object, &populating);
	populate(heap_start, (uintptr_t)sbrk(0), MADV_POPULATE_WRITE);
	populate(stack - STACK_BYTES, stack, MADV_POPULATE_WRITE);
}

void prefault_child(void)
{
	struct populating populating = {.is_library = false};
	uintptr_t stack = (uintptr_t)__builtin_frame_address(0);

	dl_iterate_phdr(populate_object, &populating);
	populate(heap_start, (uintptr_t)sbrk(0), MADV_POPULATE_WRITE);
	populate(stack - STACK_BYTES, stack + 4096, MADV_POPULATE_WRITE);
}
