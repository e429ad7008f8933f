"""What a table of work costs on FPGAs: devices, datapaths and the architectures built of them."""
