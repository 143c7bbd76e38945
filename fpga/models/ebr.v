// What an ECP5 block RAM (block_ram.v) has inside in its two forms: memory arrays and the output of a port.
//
// Source: Lattice FPGA-TN-02204, "ECP5 and ECP5-5G Memory Usage Guide". Memories start as zeros. All ports have one clock.
//
// What the guide leaves open is inverted, so that a design that depends on it differs from what it should do: a word that is read in
// the cycle in which the other port writes it, and a word that is on its way to the output register when that is reset.

// Output of a port: at the edge, a latch takes the word that is read. With REGISTERED a register behind the latch, enabled by oce,
// takes it one cycle later. rst clears the last of the two.
module gradgate_ebr_output #(
    parameter WIDTH = 18,
    parameter REGISTERED = 0
) (
    input clk, read, oce, rst, clash,
    input [WIDTH-1:0] word,
    output [WIDTH-1:0] q
);
    reg [WIDTH-1:0] latch = 0, register = 0;
    assign q = REGISTERED ? register : latch;
    if (REGISTERED) begin
        always @(posedge clk) begin
            if (rst) latch <= ~word;
            else if (read) latch <= clash ? ~word : word;
            if (rst) register <= 0;
            else if (oce) register <= latch;
            if (rst && !oce) $fatal(1, "block RAM: a reset of the output register with its clock enable low is not modelled");
        end
    end else begin
        always @(posedge clk)
            if (rst) latch <= 0;
            else if (read) latch <= clash ? ~word : word;
    end
endmodule

// Two ports A and B of one width (1, 2, 4, 9, 18), each for reading and writing. Words of 18 bits are written in halves of 9 where
// address bits 0 and 1 say so. OLD: a port that writes shows the word that was there; otherwise its output stays.
module gradgate_ebr_dual #(
    parameter WIDTH = 18,
    parameter REGISTERED_A = 0, REGISTERED_B = 0, OLD_A = 0, OLD_B = 0
) (
    input clk, ena, enb, wea, web, ocea, oceb, rsta, rstb,
    input [13:0] ada, adb,
    input [17:0] dia, dib,
    output [17:0] doa, dob
);
    localparam SKIP = WIDTH == 18 ? 4 : WIDTH == 9 ? 3 : $clog2(WIDTH);  // lowest address bit in use
    localparam PARTS = WIDTH == 18 ? 2 : 1;
    localparam PART = WIDTH / PARTS;

    reg [WIDTH-1:0] words [0:(1 << 14 - SKIP)-1];
    initial for (int i = 0; i < 1 << 14 - SKIP; i = i + 1) words[i] = 0;

    wire [13-SKIP:0] at_a = ada[13:SKIP];
    wire [13-SKIP:0] at_b = adb[13:SKIP];
    wire [PARTS-1:0] parts_a = ena && wea ? (PARTS == 2 ? ada[PARTS-1:0] : 1'b1) : 0;
    wire [PARTS-1:0] parts_b = enb && web ? (PARTS == 2 ? adb[PARTS-1:0] : 1'b1) : 0;
    wire same = at_a == at_b;

    always @(posedge clk) begin
        for (int i = 0; i < PARTS; i = i + 1) begin
            if (parts_a[i]) words[at_a][i*PART +: PART] <= dia[i*PART +: PART];
            if (parts_b[i]) words[at_b][i*PART +: PART] <= dib[i*PART +: PART];
        end
        if (same && |parts_a && |parts_b) $fatal(1, "block RAM: both ports write the same word");
    end

    wire [WIDTH-1:0] qa, qb;
    gradgate_ebr_output #(.WIDTH(WIDTH), .REGISTERED(REGISTERED_A)) a (
        .clk(clk), .read(ena && (OLD_A || !wea)), .oce(ocea), .rst(rsta), .clash(same && |parts_b), .word(words[at_a]), .q(qa));
    gradgate_ebr_output #(.WIDTH(WIDTH), .REGISTERED(REGISTERED_B)) b (
        .clk(clk), .read(enb && (OLD_B || !web)), .oce(oceb), .rst(rstb), .clash(same && |parts_a), .word(words[at_b]), .q(qb));
    assign doa = 18'(qa);
    assign dob = 18'(qb);
endmodule

// One port that writes words of 36 bits, in quarters of 9, and one that reads words of WIDTH = 9, 18 or 36 bits, of which the lowest
// address has the lowest bits.
module gradgate_ebr_pseudo #(
    parameter WIDTH = 36,
    parameter REGISTERED = 0
) (
    input clk, write, read, oce, rst,
    input [8:0] at_w,
    input [3:0] parts,
    input [35:0] data,
    input [13:0] ad_r,
    output [WIDTH-1:0] q
);
    reg [35:0] words [0:511];
    initial for (int i = 0; i < 512; i = i + 1) words[i] = 0;

    always @(posedge clk)
        for (int i = 0; i < 4; i = i + 1)
            if (write && parts[i]) words[at_w][9*i +: 9] <= data[9*i +: 9];

    wire [35:0] whole = words[ad_r[13:5]];
    wire [WIDTH-1:0] word;
    if (WIDTH == 36) assign word = whole;
    else if (WIDTH == 18) assign word = ad_r[4] ? whole[35:18] : whole[17:0];
    else assign word = whole[9*ad_r[4:3] +: 9];

    gradgate_ebr_output #(.WIDTH(WIDTH), .REGISTERED(REGISTERED)) r (
        .clk(clk), .read(read), .oce(oce), .rst(rst), .clash(write && |parts && at_w == ad_r[13:5]), .word(word), .q(q));
endmodule
