"""What starts a plan and what has to be bought for it: Compose and Kubernetes files, nodes, ports, racks, circuits."""
