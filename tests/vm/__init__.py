"""Machines with a kernel of their own, by QEMU: ``with VmLab() as lab`` as ``Lab`` is used.

Where /dev/kvm works they run by KVM, elsewhere by TCG, which translates: right, and slow.
"""
