/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Somebody ends this process when he hears nothing of it for long. What may take its time without
 * coming back to the loop (a slow disk, a service manager that does not answer) says now and then
 * that it goes on.
 */
#ifndef SQUALL_ALIVE_H
#define SQUALL_ALIVE_H

#define ALIVE_MS 250 /* how often it is worth saying */

/* Whom it is said to; NULL, and in the beginning: nobody. */
void alive_tell(void (*tell)(void *context), void *context);
/* Cheap: may be called as often as one likes. */
void alive(void);

#endif
