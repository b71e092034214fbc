/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A process that has entered a namespace and cannot come back.
 */
#ifndef SQUALL_STRANDED_H
#define SQUALL_STRANDED_H

/* Says so, and ends the process: whatever it did next, to files or to the network, would be done in
 * there. That it dies is what all others are prepared for, at any call: the guardian undoes what
 * the worker has done, and `squall restore`, called again, the rest. `which`: "mount", "network" */
_Noreturn void stranded_end(const char *which, int error);

#endif
