/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * BPF programs, maps and links are the whole machine's: others may load some at any time, which go
 * again. So what is left is judged once behind many runs.
 */
#ifndef SQUALL_TESTS_MACHINE_BPF_H
#define SQUALL_TESTS_MACHINE_BPF_H

#include <stdint.h>

#define MACHINE_BPF_KINDS 3

/* Those that are there now are not looked at. */
void machine_bpf_remember(void);
/* The same across processes: the newest numbers there were. */
void machine_bpf_newest(uint32_t out[MACHINE_BPF_KINDS]);
void machine_bpf_since(const uint32_t newest[MACHINE_BPF_KINDS]);
/* Each one there now that was loaded since then is waited for. NULL, or the name of one that stays;
 * the caller frees. */
char *machine_bpf_left(int64_t most_ns);
/* What was loaded since the call before and is still there after most_ns is noted: if it stays for
 * good, this is where it comes from. */
void machine_bpf_note(const char *where, int64_t most_ns);

#endif
