import Miner
