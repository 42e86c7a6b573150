/* SPDX-License-Identifier: MIT
 * Names of the classes of CIFAR-10 and CIFAR-100, in the order of their labels. */
#ifndef BRUME_DATA_CIFAR_H
#define BRUME_DATA_CIFAR_H

enum { BRUME_CIFAR10 = 10, BRUME_CIFAR100_FINE = 100, BRUME_CIFAR100_COARSE = 20 };

extern const char *const brume_cifar10_names[BRUME_CIFAR10];
extern const char *const brume_cifar100_fine_names[BRUME_CIFAR100_FINE];
extern const char *const brume_cifar100_coarse_names[BRUME_CIFAR100_COARSE];

#endif
