/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Worker and guardian run before all ordinary processes: on a machine that is overloaded, perhaps
 * by the experiment itself, a fault that is to end now would otherwise wait for its turn, 10 to 80
 * ms at twice as much work as processors (measured; nice -20 did not help: each session is a group
 * of its own for the scheduler, autogroup in sched(7)). They sleep nearly always, and the kernel
 * leaves ordinary processes their share of a processor even if one of them did not
 * (sched_rt_runtime_us).
 */
#ifndef SQUALL_REALTIME_H
#define SQUALL_REALTIME_H

/* This process and those it forks from now on. Without CAP_SYS_NICE, or where the control group has
 * no real-time share, all stays as it is. */
void realtime_begin(void);
/* Back to ordinary; needs no privileges. */
void realtime_end(void);

/* For what waits by trying again and again inside of the kernel, as a write to some files below
 * /proc/sys/net does while somebody else holds the RTNL (restart_syscall()). In real time it would
 * keep who holds it from the processor: if that is a thread of a lower real-time priority, and
 * there is but one processor for both, for good, and nothing of the network could be changed any
 * more. This thread alone is ordinary between the two. */
struct realtime {
	int policy, priority;
};
struct realtime realtime_pause(void);
void realtime_resume(struct realtime before);

#endif
