/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything that a title, a reason or a process name could try.
 */
#ifndef SQUALL_TESTS_HOSTILE_TEXT_H
#define SQUALL_TESTS_HOSTILE_TEXT_H

#define HOSTILE                                                                                    \
	"a\033]0;owned\007b\033[2Jc\r\nd\x9b"                                                      \
	"31me\xc2\x9b"                                                                             \
	"2Jf\xe2\x80\xae"                                                                          \
	"g\xff\xfeh\tz\x7f\xe2\x80\xa8"                                                            \
	"i"

#endif
